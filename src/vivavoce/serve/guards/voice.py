"""The voice guard: is what is about to be sent the preset's voice?

A window of the outgoing speech is embedded every hop and compared with the preset. In `watch` speech is sent at once
and cut as soon as a window departs; in `hold` nothing is sent before a window that covers it has passed, which costs
the length of the first window in latency. Embedding runs in the guards' pool, never between clock steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vivavoce.errors import ConfigError
from vivavoce.serve.guards.findings import SpeakerEncoder
from vivavoce.serve.sound import measure_level_db

OWN_RATE_HZ = 24_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceGuardSettings:
    """How the voice guard looks. Thresholds are calibrated by `viva eval guards`."""

    mode: Literal["watch", "hold"] = "watch"
    threshold: float = 0.65
    """Cosine to the preset below which a window is another voice. measured: docs/serve.md, guards (0.75 cut the preset)."""
    window_s: float = 1.6
    """Chosen: the encoder was trained on 1.6 s."""
    first_window_s: float = 0.8
    """The first look at an utterance comes this early, on what there is."""
    hop_s: float = 0.4

    def __post_init__(self) -> None:
        if not 0 < self.first_window_s <= self.window_s or self.hop_s <= 0:
            raise ConfigError(
                f"voice guard windows are {self.first_window_s}, {self.window_s}, hop {self.hop_s} s; "
                "need 0 < first <= window and a positive hop"
            )


@dataclass(frozen=True, slots=True)
class VoiceReference:
    """The preset voice: mean unit vector [D] of its recordings, and the encoder that made it."""

    encoder: SpeakerEncoder
    vector: np.ndarray

    def compare(self, samples: np.ndarray) -> float:
        """Cosine of the voice in [S] samples at 24 kHz to the preset, in [-1, 1]."""
        return float(self.encoder.embed(samples, OWN_RATE_HZ) @ self.vector)


def make_reference(encoder: SpeakerEncoder, recordings: list[np.ndarray]) -> VoiceReference:
    """The preset's voice from recordings at 24 kHz. Raises: ConfigError if there are none."""
    if not recordings:
        raise ConfigError("the voice guard has no recording of the preset voice; give at least one")
    mean = np.mean([encoder.embed(samples, OWN_RATE_HZ) for samples in recordings], axis=0)
    return VoiceReference(encoder, (mean / np.linalg.norm(mean)).astype(np.float32))


class UtteranceVoice:
    """Windows of one utterance: which to look at next, and which speech may be sent. Pure bookkeeping."""

    def __init__(self, settings: VoiceGuardSettings) -> None:
        self._settings = settings
        self._heard = np.zeros(0, np.float32)
        """The last window of speech."""
        self._said_samples = 0
        self._next_look = int(settings.first_window_s * OWN_RATE_HZ)
        self._held: list[np.ndarray] = []
        self._held_from = 0
        self.passed_samples = 0
        """Speech up to here was inside a window that passed."""

    def add(self, samples: np.ndarray) -> np.ndarray | None:
        """Note outgoing speech; return the window to look at now, if it is time."""
        window = int(self._settings.window_s * OWN_RATE_HZ)
        self._heard = np.concatenate([self._heard, samples])[-window:]
        self._said_samples += len(samples)
        if self._settings.mode == "hold":
            self._held.append(samples)
        if self._said_samples < self._next_look:
            return None
        self._next_look = self._said_samples + int(self._settings.hop_s * OWN_RATE_HZ)
        return self._look()

    def end(self) -> np.ndarray | None:
        """The utterance is over; return a last window if some speech was in none."""
        unseen = self._said_samples - (self._next_look - int(self._settings.hop_s * OWN_RATE_HZ))
        return self._look() if unseen > 0 and len(self._heard) >= OWN_RATE_HZ // 5 else None

    def _look(self) -> np.ndarray | None:
        # silence has no voice; a window of it passes
        return self._heard.copy() if measure_level_db(self._heard) > -50 else None

    @property
    def said_samples(self) -> int:
        """Speech noted so far."""
        return self._said_samples

    def pass_until(self, samples: int) -> None:
        """A window that ends at `samples` passed."""
        self.passed_samples = max(self.passed_samples, samples)

    def release(self, *, everything: bool = False) -> list[np.ndarray]:
        """Held speech that may be sent now."""
        free = []
        while self._held and (everything or self._held_from + len(self._held[0]) <= self.passed_samples):
            free.append(self._held.pop(0))
            self._held_from += len(free[-1])
        return free
