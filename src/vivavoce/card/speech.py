"""What the card needs of speech: voices that read items aloud, and judges that listen.

`Studio` is the narrow protocol; `open_studio` gives the one named. `packages` uses the teachers of `data.voices` and the
judges of `omni.judges`, each only if its program or weights are there; `tones` is a double that needs nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np

from vivavoce.content import Audio
from vivavoce.errors import ConfigError, VivaError
from vivavoce.omni.judges.words import count_errors

INPUT_RATE_HZ = 16_000
MAX_INPUT_WER = 0.34
"""Items whose audio is read with more errors than this are flagged: the audio is not what was meant. chosen: one word
in three, above the 23% that the worst usable voice has on plain sentences."""
AUDIBLE_RMS = 10 ** (-50 / 20)
"""Root mean square over 20 ms, of full scale 1, from which a frame counts as sound. chosen: -50 dBFS."""


class Studio(Protocol):
    """Voices and judges. Every judge returns None where it is not there, never a made-up value."""

    name: str
    preset_voice: str
    """The voice that the assistant must keep to, as a teacher knows it."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Language codes that it can speak, `en` first."""
        ...

    @property
    def voices(self) -> tuple[str, ...]:
        """Voices that read items; distinct speakers first."""
        ...

    @property
    def has_recogniser(self) -> bool: ...

    @property
    def has_speaker_encoder(self) -> bool: ...

    def speak(self, text: str, voice: str, seed: int = 0) -> Audio:
        """`text` read aloud at 16 kHz, its transcript attached.

        Raises: VivaError if the voice is not there or cannot say it.
        """
        ...

    def recognise(self, audio: Audio) -> str | None:
        """What a recogniser that never saw the text reads from the sound."""
        ...

    def embed(self, audio: Audio) -> np.ndarray | None:
        """A unit vector that stands for who speaks, or None for sound with too little voice."""
        ...

    def rate_quality(self, audio: Audio) -> float | None:
        """A quality score from 1 to 5 (DNSMOS overall)."""
        ...

    def describe(self) -> dict[str, str]:
        """Names and digests of what serves here, for the log."""
        ...


@cache
def open_studio(name: str = "auto") -> Studio:
    """The studio of that name: `packages`, `tones`, or `auto` (packages if any voice of them works here, else tones).

    Raises: ConfigError for another name.
    """
    if name == "tones":
        from vivavoce.card.tone_studio import ToneStudio

        return ToneStudio()
    if name in ("packages", "auto"):
        from vivavoce.card.package_studio import PackageStudio

        studio = PackageStudio()
        if studio.voices or name == "packages":
            return studio
        return open_studio("tones")
    raise ConfigError(f"studio {name!r} is unknown; allowed: auto, packages, tones")


def measure_audible_s(audio: Audio) -> float:
    """Seconds of 20 ms frames above `AUDIBLE_RMS`: near-silent sound of full length has none."""
    return float(_find_audible(audio).sum() * 0.02)


def find_audible_span(audio: Audio) -> tuple[float, float] | None:
    """(start, end) in seconds of the first and after the last audible 20 ms frame, or None if there is none."""
    frames = np.flatnonzero(_find_audible(audio))
    if len(frames) == 0:
        return None
    return float(frames[0] * 0.02), float(min((frames[-1] + 1) * 0.02, audio.duration_s))


def _find_audible(audio: Audio) -> np.ndarray:
    size = max(1, round(0.02 * audio.rate_hz))
    count = len(audio.samples) // size
    frames = audio.samples[: count * size].reshape(count, size)
    return np.sqrt((frames.astype(np.float64) ** 2).mean(axis=1)) > AUDIBLE_RMS


def measure_wer(reference: str, hypothesis: str) -> float | None:
    """Word error rate of one utterance, or None where the reference has no word."""
    errors, words = count_errors(reference, hypothesis)
    return errors / words if words else None


def measure_similarity(studio: Studio, audio: Audio, reference: np.ndarray) -> float | None:
    """Cosine between who speaks in `audio` and `reference`, or None where it can't be told."""
    try:
        vector = studio.embed(audio)
    except VivaError:
        return None
    return None if vector is None else float(vector @ reference)
