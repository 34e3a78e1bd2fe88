"""A studio that speaks in tones: one 40 ms tone a character over a steady hum that is the "voice".

It needs no program and no weights, and it is a true channel: the recogniser reads the sound, so noise, loss and swaps are
heard. For tests and dry runs; its numbers say nothing about speech, and the card says so.
"""

from __future__ import annotations

import numpy as np

from vivavoce.card.speech import INPUT_RATE_HZ
from vivavoce.content import Audio
from vivavoce.errors import ConfigError
from vivavoce.media import resample

SYMBOL_S = 0.04
FIRST_TONE_HZ = 600.0
TONE_STEP_HZ = 50.0
HUM_HZ = {f"tone-{idx}": 75.0 + 25.0 * idx for idx in range(14)}
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789 .,?!'-:;\"()%/+=$&"


class ToneStudio:
    """See the module docstring."""

    name = "tones"
    voices = tuple(HUM_HZ)[1:13]
    preset_voice = "tone-0"
    languages: tuple[str, ...] = ("en",)
    has_recogniser = True
    has_speaker_encoder = True

    def speak(self, text: str, voice: str, seed: int = 0) -> Audio:
        """Raises: ConfigError for an unknown voice."""
        del seed  # the same words sound the same
        if voice not in HUM_HZ:
            raise ConfigError(f"tone voice {voice!r} is unknown; allowed: {', '.join(HUM_HZ)}")
        symbols = [_ALPHABET.find(letter) for letter in text.lower().replace("’", "'")]
        size = round(SYMBOL_S * INPUT_RATE_HZ)
        time_s = np.arange(size) / INPUT_RATE_HZ
        window = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 0.5
        tones = [
            window * np.sin(2 * np.pi * (FIRST_TONE_HZ + TONE_STEP_HZ * symbol) * time_s)
            for symbol in symbols
            if symbol >= 0
        ]
        voiced = np.concatenate(tones) if tones else np.zeros(size)
        hum = np.sin(2 * np.pi * HUM_HZ[voice] * np.arange(len(voiced)) / INPUT_RATE_HZ)
        return Audio((0.25 * voiced + 0.12 * hum).astype(np.float32), INPUT_RATE_HZ, text)

    def recognise(self, audio: Audio) -> str | None:
        samples = _trim(resample(audio, INPUT_RATE_HZ).samples)
        size = round(SYMBOL_S * INPUT_RATE_HZ)
        letters = []
        for start in range(0, len(samples) - size // 2, size):
            block = np.pad(samples[start : start + size], (0, max(0, start + size - len(samples))))
            spectrum = np.abs(np.fft.rfft(block * np.hanning(size)))
            step = INPUT_RATE_HZ / size
            bins = np.round((FIRST_TONE_HZ + TONE_STEP_HZ * np.arange(len(_ALPHABET))) / step).astype(int)
            levels = spectrum[bins]
            if levels.max() > 4 * np.median(spectrum[bins[0] :]) and levels.max() > 1.0:
                letters.append(_ALPHABET[int(levels.argmax())])
        return "".join(letters).strip()

    def embed(self, audio: Audio) -> np.ndarray | None:
        samples = resample(audio, INPUT_RATE_HZ).samples
        if len(samples) < INPUT_RATE_HZ // 4:
            return None
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        frequencies = np.fft.rfftfreq(len(samples), 1 / INPUT_RATE_HZ)
        bands = [
            spectrum[(frequencies >= hum - 12) & (frequencies < hum + 12)].max(initial=0.0) for hum in HUM_HZ.values()
        ]
        vector = np.asarray(bands)
        if vector.max() < 1.0:
            return None
        return vector / np.linalg.norm(vector)

    def rate_quality(self, audio: Audio) -> float | None:
        del audio
        return None

    def describe(self) -> dict[str, str]:
        return {
            "voices": "tones (a test double)",
            "recogniser": "tones (a test double)",
            "encoder": "hum (a test double)",
        }


def _trim(samples: np.ndarray) -> np.ndarray:
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    return samples[loud[0] :] if len(loud) else samples[:0]
