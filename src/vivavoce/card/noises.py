"""Sounds behind a speaker: public recordings where the data folder holds them, else made here, named the same.

`babble` (people talking), `horn`, `bark`, `engine`, `phone`, `siren`. The made ones are simple: they have the pitch and the
rhythm of what they stand for, and nobody would take them for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from scipy import signal

from vivavoce.card.sources import DataSource
from vivavoce.media import read_audio, resample

Sound = np.ndarray

RECORDINGS = {
    "babble": "noise/people_talking.wav",
    "horn": "noise/car_horn.wav",
    "bark": "noise/dog_bark.wav",
    "engine": "noise/engine_idling.wav",
    "phone": "noise/ringing_phone.wav",
    "siren": "noise/siren.wav",
}
"""Kinds and their public recordings (tau2-bench; sources.yaml has addresses and digests)."""


def check_recordings(source: DataSource) -> None:
    """Note the recordings at hand as used. Raises: DataError for one whose digest is not the pinned one."""
    for path in RECORDINGS.values():
        if source.has(path):
            source.read_bytes(path)


@cache
def load_recordings(data: str | None, rate_hz: int) -> Mapping[str, Sound]:
    """The recordings of a data folder by kind, [S] float32 at `rate_hz`; {} without a folder."""
    if data is None:
        return {}
    source = DataSource(data)
    return {
        kind: resample(read_audio(source.read_bytes(path)), rate_hz).samples
        for kind, path in RECORDINGS.items()
        if source.has(path)
    }


def make_noise(
    kind: str, num_samples: int, rate_hz: int, generator: np.random.Generator, recordings: Mapping[str, Sound]
) -> Sound:
    """[num_samples] float32 of a kind: from anywhere in its recording, over and over, else made."""
    recording = recordings.get(kind)
    if recording is None:
        return _MAKERS[kind](num_samples, rate_hz, generator).astype(np.float32)
    return np.resize(np.roll(recording, -int(generator.integers(len(recording)))), num_samples)


def _babble(num_samples: int, rate_hz: int, generator: np.random.Generator) -> Sound:
    """Noise with the long-term spectrum and the syllable rhythm of six people talking."""
    shape = signal.butter(2, [150 / (rate_hz / 2), 1000 / (rate_hz / 2)], "band", output="sos")
    total = np.zeros(num_samples)
    for _ in range(6):
        carrier = signal.sosfilt(shape, generator.standard_normal(num_samples))
        syllables_s = np.arange(0, num_samples / rate_hz + 1, 0.2)
        total += carrier * np.interp(
            _times(num_samples, rate_hz), syllables_s, generator.uniform(0, 1, len(syllables_s))
        )
    return total


def _horn(num_samples: int, rate_hz: int, generator: np.random.Generator) -> Sound:
    """Two reeds a major third apart, a second on and a second off."""
    times_s = _times(num_samples, rate_hz, generator)
    reeds = signal.square(2 * np.pi * 400 * times_s) + signal.square(2 * np.pi * 500 * times_s)
    return reeds * (times_s % 2 < 1)


def _bark(num_samples: int, rate_hz: int, generator: np.random.Generator) -> Sound:
    """Bursts of 120 ms around 500 Hz, twice a second."""
    times_s = _times(num_samples, rate_hz, generator)
    since_s = times_s % 0.5
    tone = np.sin(2 * np.pi * 500 * times_s) + 0.5 * generator.standard_normal(num_samples)
    return tone * np.exp(-since_s * 20) * (since_s < 0.3)


def _engine(num_samples: int, rate_hz: int, generator: np.random.Generator) -> Sound:
    """Harmonics of 40 Hz with a flutter, and some hiss."""
    times_s = _times(num_samples, rate_hz, generator)
    total = sum(np.sin(2 * np.pi * 40 * k * times_s + k) / k for k in range(1, 12))
    return total * (1 + 0.3 * np.sin(2 * np.pi * 7 * times_s)) + 0.1 * generator.standard_normal(num_samples)


def _phone(num_samples: int, rate_hz: int, generator: np.random.Generator) -> Sound:
    """The ring of 440 and 480 Hz: two seconds in four."""
    times_s = _times(num_samples, rate_hz, generator)
    return (np.sin(2 * np.pi * 440 * times_s) + np.sin(2 * np.pi * 480 * times_s)) * (times_s % 4 < 2)


def _siren(num_samples: int, rate_hz: int, generator: np.random.Generator) -> Sound:
    """A tone that rises and falls between 600 and 1200 Hz every two seconds."""
    pitch_hz = 900 + 300 * np.sin(2 * np.pi * 0.5 * _times(num_samples, rate_hz, generator))
    return np.sin(2 * np.pi * np.cumsum(pitch_hz) / rate_hz)


def _times(num_samples: int, rate_hz: int, generator: np.random.Generator | None = None) -> Sound:
    """[num_samples] seconds, from a random moment of a rhythm where a generator is given."""
    start_s = generator.uniform(0, 1) if generator is not None else 0.0
    return start_s + np.arange(num_samples) / rate_hz


_MAKERS: dict[str, Callable[[int, int, np.random.Generator], Sound]] = {
    "babble": _babble,
    "horn": _horn,
    "bark": _bark,
    "engine": _engine,
    "phone": _phone,
    "siren": _siren,
}
