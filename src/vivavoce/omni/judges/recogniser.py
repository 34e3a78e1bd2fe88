"""An independent recogniser: Whisper tiny.en in CTranslate2, on the CPU. It never saw this project's training.

Greedy, no earlier text, no timestamps, so that a transcript depends on its sound alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import soxr

from vivavoce.assets import resolve
from vivavoce.content import Audio
from vivavoce.errors import MissingExtraError

NAME = "whisper tiny.en, CTranslate2 int8, beam 1"
_RATE_HZ = 16_000
_MAX_S = 30.0


class Recogniser:
    """Loads once; `transcribe` is deterministic for one number of threads."""

    def __init__(self, num_threads: int = 1) -> None:
        self._model = _load(num_threads)

    def transcribe(self, audio: Audio) -> str:
        """What is said in `audio`, any rate, as Whisper writes it."""
        samples = audio.samples
        if audio.rate_hz != _RATE_HZ:
            samples = soxr.resample(samples, audio.rate_hz, _RATE_HZ)
        # short clips are recognised better with a little silence around them
        samples = np.pad(samples.astype(np.float32), _RATE_HZ // 4)
        segments, _ = self._model.transcribe(
            samples,
            language="en",
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=len(samples) < _MAX_S * _RATE_HZ,
        )
        return " ".join(segment.text.strip() for segment in segments).strip()

    def transcribe_all(self, audios: Sequence[Audio]) -> list[str]:
        """Transcripts in order."""
        return [self.transcribe(audio) for audio in audios]


@functools.cache
def _load(num_threads: int) -> Any:
    try:
        from faster_whisper import WhisperModel
    except ModuleNotFoundError as error:
        raise MissingExtraError("the recogniser needs faster-whisper; pip install 'vivavoce[judges]'") from error
    folder = resolve("whisper-tiny-en")
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=num_threads, num_workers=1)
