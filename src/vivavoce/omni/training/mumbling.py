"""Speech that can be heard but not understood: what is said stands in the transcript alone.

A spoken question costs a recording, a typed one costs nothing, so what the trunk knows of wordings it knows of typed ones: told
the true transcript of a spoken question in new words, it answered 0.60 of them rightly, and 0.92 of the same questions typed
(experiments/LOG.md). Mumbled speech has the loudness, the length and the pauses of speech, as somebody has who speaks behind a
wall, and needs no recording: the trunk learns to answer what the transcript says, in as many wordings as typed questions have.
"""

from __future__ import annotations

import re
import zlib

import numpy as np
import scipy.ndimage

from vivavoce.omni.configuration import MEL_BINS
from vivavoce.omni.layout import LOG_POWER, MEL_FLOOR

_FRAMES_PER_LETTER = 6.5
"""Of 10 ms: some fifteen letters a second, as most voices of the roster have."""
_PAUSE_FRAMES = 3
_MARGIN_FRAMES = 5
"""Quiet that trimming leaves at both ends of a recording."""
_VOWELS = frozenset("aeiouy")


def mumble(text: str) -> np.ndarray:
    """Scaled log-mel [F, 80] float32 of somebody who says `text` unintelligibly; the same text gives the same sound.

    Each letter is as loud as a vowel or a consonant is, more or less, and all have one spectrum.
    """
    generator = np.random.default_rng(zlib.crc32(text.encode()))
    levels = [np.full(_MARGIN_FRAMES, MEL_FLOOR)]
    for word in re.findall("[a-z0-9]+", text.lower().replace("'", "")):
        loud = np.array([0.4 if letter in _VOWELS else -0.3 for letter in word]) + generator.normal(0, 0.25, len(word))
        times = np.linspace(0, len(word) - 1, round(len(word) * _FRAMES_PER_LETTER))
        levels += [np.interp(times, np.arange(len(word)), loud), np.full(_PAUSE_FRAMES, -0.9)]
    level = scipy.ndimage.uniform_filter1d(np.concatenate([*levels, np.full(_MARGIN_FRAMES, MEL_FLOOR)]), 3)
    return _give_spectrum(level, generator)


def muffle(mel: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A recording [F, 80] of which the loudness alone is left: all its frames have one spectrum."""
    power = np.log(np.exp(LOG_POWER * mel.astype(np.float64)).mean(axis=1))
    return _give_spectrum(power / LOG_POWER, generator)


def _give_spectrum(level: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    tilt = np.linspace(0.5, -0.8, MEL_BINS) + np.interp(
        np.arange(MEL_BINS), np.linspace(0, MEL_BINS - 1, 8), generator.normal(0, 0.3, 8)
    )
    mel = level[:, None] + tilt + generator.normal(0, 0.15, (len(level), MEL_BINS))
    mel[level <= MEL_FLOOR + 0.1] = MEL_FLOOR
    return np.maximum(mel, MEL_FLOOR).astype(np.float32)
