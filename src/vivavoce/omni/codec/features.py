"""What the codec trains on, made once from renderings: log-mel, pitch, voicing and phones of each utterance.

Input: shards of int16 samples at 24 kHz with `text` and, optionally, `phonemes`. Output: shards of float16
[8 T, 102]: 100 mel bands, scaled pitch, 1 where voiced.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vivavoce.data.voices.shards import Shards, has_part, write_part
from vivavoce.data.voices.trim import speech_bounds
from vivavoce.errors import DataError
from vivavoce.omni.codec.config import CODEC_MEL, HOP_SAMPLES, RATE_HZ
from vivavoce.omni.codec.pitch import track_pitch
from vivavoce.omni.mel import log_mel

NUM_COLUMNS = CODEC_MEL.num_bins + 2
PHONES = "AIOWYᵊbdfhijklmnpstuvwzɑɐæðʤəɛɜɡɪŋɔɹʃʧʊʌʒθᵻT"
"""Letters of the teacher's phoneme alphabet that stand for sounds; stress, length and marks are left out."""
_PART_ITEMS = 250
_LOG_HZ_MEAN, _LOG_HZ_SCALE = 5.0, 0.5


def describe_utterance(samples: np.ndarray) -> np.ndarray:
    """Columns of one utterance: float32 samples at 24 kHz to float16 [8 T, 102]."""
    mel = log_mel(samples, CODEC_MEL)
    times_s = (np.arange(len(mel)) * HOP_SAMPLES + 2 * HOP_SAMPLES) / RATE_HZ
    pitch_hz, is_voiced = track_pitch(samples, RATE_HZ, times_s)
    pitch = (np.log(pitch_hz) - _LOG_HZ_MEAN) / _LOG_HZ_SCALE
    return np.concatenate([mel, pitch[:, None], is_voiced[:, None]], axis=1).astype(np.float16)


def phone_ids(phonemes: str) -> list[int]:
    """1-based places in `PHONES`; what is no sound is skipped."""
    return [PHONES.index(symbol) + 1 for symbol in phonemes if symbol in PHONES]


def prepare(renderings: Path, out: Path) -> int:
    """Describe every utterance of `renderings` into `out`; goes on where it stopped. Returns the number of utterances.

    Raises: DataError if a rendering is not at 24 kHz.
    """
    source = Shards(renderings)
    for part in range(-(-len(source) // _PART_ITEMS)):
        if not has_part(out, part):
            numbers = range(part * _PART_ITEMS, min(len(source), (part + 1) * _PART_ITEMS))
            write_part(out, part, _describe_all(source, numbers))
    return len(source)


def _describe_all(source: Shards, numbers: range) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    for number in numbers:
        item = source[number]
        if item.about["rate_hz"] != RATE_HZ:
            raise DataError(f"rendering {number} is at {item.about['rate_hz']} Hz; the codec needs {RATE_HZ}")
        samples = item.array.astype(np.float32) / 32768
        bounds = speech_bounds(samples, RATE_HZ)
        columns = describe_utterance(samples[bounds.start : bounds.stop])
        yield (
            columns,
            {
                "source": number,
                "first_sample": bounds.start,
                "text": item.about["text"],
                "phonemes": item.about.get("phonemes", ""),
            },
        )
