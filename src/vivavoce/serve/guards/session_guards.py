"""The guards of one realtime session: what goes through them, and what they found.

Judging runs in a pool (`submit`), so that a slow classifier never delays a clock step; findings are picked up by
`poll` on the next turn of the worker's loop.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vivavoce.serve.guards.findings import Finding, TextGuard, Where
from vivavoce.serve.guards.voice import UtteranceVoice, VoiceGuardSettings, VoiceReference


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSet:
    """Which guards are on. An absent guard is off."""

    texts: tuple[TextGuard, ...] = ()
    voice: VoiceReference | None = None
    voice_settings: VoiceGuardSettings = field(default_factory=VoiceGuardSettings)


class SessionGuards:
    """The guards' state for one conversation, one utterance at a time. Driven by the worker thread."""

    def __init__(self, guards: GuardSet, pool: Executor) -> None:
        self._guards = guards
        self._pool = pool
        self._pending: list[tuple[Future[Finding | None], Callable[[], None], int]] = []
        self._utterance: UtteranceVoice | None = None
        self._number = 0
        self._user_text = ""
        self._is_over = False

    @property
    def is_pending(self) -> bool:
        """Whether a judgement is still being made."""
        return bool(self._pending)

    @property
    def _holds(self) -> bool:
        return self._guards.voice is not None and self._guards.voice_settings.mode == "hold"

    def start_utterance(self) -> None:
        """The model begins to speak or write; findings about the one before no longer matter."""
        self._number += 1
        self._is_over = False
        if self._guards.voice is not None:
            self._utterance = UtteranceVoice(self._guards.voice_settings)

    def hear_user(self, text: str) -> None:
        """The user's words, once their transcript is complete, or as typed."""
        self._user_text = text
        self._judge_text(text, "input")

    def say_text(self, text: str) -> None:
        """All that the model has said or written in this utterance so far."""
        self._judge_text(text, "output")

    def say_audio(self, samples: np.ndarray) -> list[np.ndarray]:
        """Speech that is about to be sent; return what may be sent now."""
        if self._utterance is None:
            return [samples]
        self._look(self._utterance.add(samples))
        return self._utterance.release() if self._holds else [samples]

    def end_utterance(self) -> None:
        """No more speech will come; what is held is still judged."""
        self._is_over = True
        if self._utterance is not None and self._holds:
            self._look(self._utterance.end())

    def release(self) -> list[np.ndarray]:
        """Held speech that has passed meanwhile; all of it, once the utterance is over and nothing is being judged."""
        if self._utterance is None or not self._holds:
            return []
        return self._utterance.release(everything=self._is_over and not self._pending)

    def poll(self) -> Finding | None:
        """The first finding that has come in about this utterance or the user's words."""
        found = None
        still = []
        for future, on_pass, number in self._pending:
            if not future.done():
                still.append((future, on_pass, number))
                continue
            finding = future.result()
            if finding is None:
                on_pass()
            elif finding.where == "input" or number == self._number:
                found = found or finding
        self._pending = still
        return found

    def _judge_text(self, text: str, where: Where) -> None:
        if not text.strip():
            return
        for guard in self._guards.texts:
            self._submit(lambda: None, guard.judge, text, where, self._user_text if where == "output" else "")

    def _look(self, window: np.ndarray | None) -> None:
        voice, utterance = self._guards.voice, self._utterance
        assert voice is not None
        assert utterance is not None
        end = utterance.said_samples
        if window is None:
            return
        self._submit(
            lambda: utterance.pass_until(end), _judge_voice, voice, window, self._guards.voice_settings.threshold
        )

    def _submit(self, on_pass: Callable[[], None], judge: Callable[..., Finding | None], *arguments: Any) -> None:
        self._pending.append((self._pool.submit(judge, *arguments), on_pass, self._number))


def _judge_voice(voice: VoiceReference, window: np.ndarray, threshold: float) -> Finding | None:
    cosine = voice.compare(window)
    return Finding("voice", "output", "other_voice", 1.0 - cosine) if cosine < threshold else None
