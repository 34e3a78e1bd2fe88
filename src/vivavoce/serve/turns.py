"""Whose turn it is: voice activity and the session's `turn_detection` to edges, gates and the bias on `<speak>`. Pure.

Three ways: `server_vad` ends a turn after silence and keeps the model quiet until then; `semantic_vad` leaves the
decision to the model, with eagerness as a bias and a longest wait; with none the client commits and asks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vivavoce.omni.engine_protocol import FRAME_MS
from vivavoce.serve.settings import (
    EAGERNESS_BIAS,
    IMPATIENCE,
    LONGEST_WAIT_MS,
    PATIENCE_MS,
    SEMANTIC_SILENCE_MS,
    TurnDetection,
)
from vivavoce.serve.sound import measure_level_db
from vivavoce.serve.vad import SpeechDetector, SpeechEdge, VoiceActivity

SOUND_DB = -45.0
"""Louder than this is something to answer, though it be no speech (a bell, a knock). chosen."""
_SOUND_FRAMES = 2
QUIET_DB = -25.0
"""This far below the loudest clock step of the turn, silence has begun. chosen."""
LONGEST_FORESIGHT_MS = 1000
"""Silence after which nothing is gained by foreseeing more of it. chosen."""
BARGE_IN_MS = 800
"""Speech over the model's speech that is no back-channel; the model is stopped if it did not stop by itself. chosen."""


class TurnTaking:
    """Voice activity of one session. `configure` sets the way; a change starts it anew."""

    def __init__(self, make_vad: Callable[[], VoiceActivity], settings: TurnDetection | None) -> None:
        self._make_vad = make_vad
        self._vad = make_vad()
        self._settings = settings
        self._detector = self._make_detector()
        self._offset_ms = 0
        self._loud_frames = 0
        self._loudest_db = -120.0

    @property
    def settings(self) -> TurnDetection | None:
        """The session's turn detection."""
        return self._settings

    @property
    def model_decides(self) -> bool:
        """Whether the model may take the turn by itself."""
        return self._settings is not None and self._settings.kind == "semantic_vad" and self._settings.create_response

    @property
    def is_user_speaking(self) -> bool:
        """Whether speech is going on, short pauses included."""
        return self._detector.is_speech

    @property
    def has_sound(self) -> bool:
        """Whether there is anything to answer since the last turn."""
        return self._detector.is_speech or self._loud_frames >= _SOUND_FRAMES

    def is_falling_silent(self, tail: np.ndarray) -> bool:
        """Whether `tail`, the last 20 ms, is silence that has just begun after the user's speech."""
        is_recent = self._detector.is_speech and self._detector.silent_ms <= LONGEST_FORESIGHT_MS
        return is_recent and measure_level_db(tail) < self._loudest_db + QUIET_DB

    @property
    def is_barging_in(self) -> bool:
        """Whether what is said over the model is too long for a back-channel and still going on."""
        return (
            self._detector.is_speech
            and self._detector.speech_ms - self._detector.silent_ms >= BARGE_IN_MS
            and self._detector.silent_ms < SEMANTIC_SILENCE_MS
        )

    @property
    def is_paused(self) -> bool:
        """Whether the user has stopped for longer than people do within a sentence."""
        return self._detector.is_speech and self._detector.silent_ms >= SEMANTIC_SILENCE_MS

    @property
    def is_voiced_now(self) -> bool:
        """Whether the user spoke within the last 200 ms."""
        return self._detector.is_speech and self._detector.silent_ms <= 200

    @property
    def speak_bias(self) -> float:
        """What eagerness adds to the logit of `<speak>`, and what waiting adds after speech that nobody answered."""
        if not self.model_decides or self._settings is None:
            return 0.0
        eagerness = self._settings.eagerness
        waited_ms = self._detector.silent_ms - PATIENCE_MS[eagerness] if self._detector.is_speech else 0
        return EAGERNESS_BIAS[eagerness] + IMPATIENCE * max(0, waited_ms) / FRAME_MS

    def configure(self, settings: TurnDetection | None, heard_ms: int) -> None:
        """Change the way from now on."""
        if settings == self._settings:
            return
        self._settings = settings
        self._vad = self._make_vad()
        self._detector = self._make_detector()
        self._offset_ms = heard_ms
        self._loud_frames = 0

    def hear(self, frame: np.ndarray) -> list[SpeechEdge]:
        """Edges found in the next clock step of sound; their times count all sound heard in the session."""
        if self._settings is None:
            return []
        level_db = measure_level_db(frame)
        self._loudest_db = max(self._loudest_db, level_db)
        self._loud_frames += level_db > SOUND_DB
        edges = self._detector.feed(self._vad.feed(frame))
        return [SpeechEdge(edge.kind, edge.time_ms + self._offset_ms) for edge in edges]

    def end_turn(self) -> None:
        """The user's turn is over, by whoever's decision."""
        self._detector.end_speech()
        self._loud_frames = 0
        self._loudest_db = -120.0

    def forget_sound(self) -> None:
        """Sounds so far need no answer any more."""
        self._loud_frames = 0

    def audio_start_ms(self, edge: SpeechEdge) -> int:
        """Where the turn's sound starts: before the speech by the prefix padding."""
        padding = self._settings.prefix_padding_ms if self._settings else 0
        return max(0, edge.time_ms - padding)

    def _make_detector(self) -> SpeechDetector:
        settings = self._settings
        if settings is None:
            return SpeechDetector()
        if settings.kind == "server_vad":
            return SpeechDetector(threshold=settings.threshold, silence_ms=settings.silence_duration_ms)
        silence_ms = LONGEST_WAIT_MS[settings.eagerness] if settings.create_response else SEMANTIC_SILENCE_MS
        return SpeechDetector(silence_ms=silence_ms)
