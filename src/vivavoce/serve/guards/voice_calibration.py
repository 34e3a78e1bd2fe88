"""The voice guard's threshold: chosen on one half of labelled recordings, and what it does on the other half.

Recordings are streamed as they would be sent. Other voices are divided by speaker, so that the half reported on holds voices
the threshold never saw; the preset's own by recording. An utterance is cut when any of its windows lies below the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vivavoce.errors import DataError
from vivavoce.serve.guards.evaluation import Score, score
from vivavoce.serve.guards.voice import OWN_RATE_HZ, UtteranceVoice, VoiceGuardSettings, VoiceReference
from vivavoce.stats import find_equal_error

STEP_SAMPLES = 1920


@dataclass(frozen=True, slots=True)
class Recording:
    """An utterance, [S] float32 at 24 kHz, and whose it is; is_other: not the preset."""

    samples: np.ndarray
    voice: str
    is_other: bool


@dataclass(frozen=True, slots=True)
class Looks:
    """What the guard saw of one recording: the cosine of each window, and the sample it was looked at."""

    voice: str
    is_other: bool
    cosines: tuple[float, ...]
    ends: tuple[int, ...]

    @property
    def lowest(self) -> float:
        """The cosine that decides; 1 where there was nothing to look at."""
        return min(self.cosines, default=1.0)

    def escaped_s(self, threshold: float) -> float | None:
        """Speech sent before the cut, watching; None if it is not cut."""
        cut = next((end for cosine, end in zip(self.cosines, self.ends) if cosine < threshold), None)
        return None if cut is None else cut / OWN_RATE_HZ


def look(reference: VoiceReference, settings: VoiceGuardSettings, recording: Recording) -> Looks:
    """Stream one recording past the guard."""
    utterance = UtteranceVoice(settings)
    cosines: list[float] = []
    ends: list[int] = []
    for start in range(0, len(recording.samples), STEP_SAMPLES):
        window = utterance.add(recording.samples[start : start + STEP_SAMPLES])
        if window is not None:
            cosines.append(reference.compare(window))
            ends.append(start + STEP_SAMPLES)
    return Looks(recording.voice, recording.is_other, tuple(cosines), tuple(ends))


def divide(looks: Sequence[Looks]) -> tuple[list[Looks], list[Looks]]:
    """Two halves: every other recording of the preset, all recordings of every other other voice.

    Raises: DataError if a half would lack the preset or other voices.
    """
    voices = list(dict.fromkeys(item.voice for item in looks if item.is_other))
    own = [item for item in looks if not item.is_other]
    halves: tuple[list[Looks], list[Looks]] = (own[::2], own[1::2])
    for item in looks:
        if item.is_other:
            halves[voices.index(item.voice) % 2].append(item)
    if len(own) < 2 or len(voices) < 2:
        raise DataError(
            f"{len(own)} recordings of the preset and {len(voices)} other voices; need two of each to divide"
        )
    return halves


def choose_threshold(looks: Sequence[Looks]) -> float:
    """The cosine at which missed and falsely cut utterances, as shares, are fewest together; the middle of the widest gap
    between two utterances where several are as good. Raises: DataError if there is only one kind."""
    lowest = np.array([item.lowest for item in looks])
    others = np.array([item.is_other for item in looks])
    if others.all() or not others.any():
        raise DataError("a threshold needs recordings of the preset and of other voices")
    points = np.unique(lowest)
    if len(points) == 1:
        return float(points[0])
    middles = (points[:-1] + points[1:]) / 2
    errors = [(lowest[others] >= at).mean() + (lowest[~others] < at).mean() for at in middles]
    best = np.flatnonzero(np.isclose(errors, min(errors)))
    return float(middles[max(best, key=lambda idx: points[idx + 1] - points[idx])])


@dataclass(frozen=True, slots=True)
class VoiceScore:
    """The voice guard at one threshold. escaped_s: speech of other voices sent before each cut, watching."""

    threshold: float
    utterances: Score
    windows: Score
    equal_error_rate: float
    equal_error_threshold: float
    escaped_s: list[float]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "threshold": self.threshold,
            "utterances": self.utterances.to_json(),
            "windows": self.windows.to_json(),
            "equal_error_rate": self.equal_error_rate,
            "equal_error_threshold": self.equal_error_threshold,
            "escaped_p50_s": float(np.median(self.escaped_s)) if self.escaped_s else None,
            "escaped_max_s": max(self.escaped_s, default=None),
        }


def score_looks(looks: Sequence[Looks], threshold: float) -> VoiceScore:
    """The guard on what it saw. The equal error rate is of utterances."""
    others = [item.is_other for item in looks]
    utterances = score([item.lowest < threshold for item in looks], others)
    pairs = [(cosine, item.is_other) for item in looks for cosine in item.cosines]
    windows = score([cosine < threshold for cosine, _ in pairs], [is_other for _, is_other in pairs])
    error, at = find_equal_error([-item.lowest for item in looks], others)
    escaped = [seconds for item in looks if item.is_other and (seconds := item.escaped_s(threshold)) is not None]
    return VoiceScore(threshold, utterances, windows, error, -at, escaped)
