"""A text in a voice, clean: picks the engine, moves the pitch, resamples, trims the silence.

Engines are external programs (`programs`), networks (`networks`), or a tone a letter, which needs nothing.
"""

from __future__ import annotations

import numpy as np
import soxr

from vivavoce.content import Audio
from vivavoce.data.voices.networks import speak_hibari, speak_kokoro, speak_piper
from vivavoce.data.voices.programs import speak_espeak, speak_festival, speak_flite
from vivavoce.data.voices.roster import Voice
from vivavoce.data.voices.trim import trim
from vivavoce.errors import DataError

_ENGINES = {
    "hibari": speak_hibari,
    "flite": speak_flite,
    "espeak": speak_espeak,
    "festival": speak_festival,
    "piper": speak_piper,
    "kokoro": speak_kokoro,
}
# chosen: loud enough for 16 bits, the same for all voices, below clipping
_LEVEL = 0.08
_MAX_CHARACTERS = 400


def speak(text: str, voice: Voice, rate_hz: int) -> Audio:
    """`text` read by `voice`, without silence at its ends, user voices at one level; the same for the same input.

    Raises: DataError if the text is empty, too long, or nothing is to be heard; AssetError if the voice is missing.
    """
    if not text.strip() or len(text) > _MAX_CHARACTERS:
        raise DataError(f"text to speak has {len(text)} characters; need 1 to {_MAX_CHARACTERS}, not all spaces")
    ratio = 2 ** (voice.semitones / 12)
    # said slower by the ratio and then played faster by it: the pitch and the formants move, the pace stays
    said = (
        _tone(text, voice.pace / ratio)
        if voice.engine == "tone"
        else _ENGINES[voice.engine](text, voice.voice, voice.pace / ratio)
    )
    samples = soxr.resample(said.samples, said.rate_hz * ratio, rate_hz).astype(np.float32)
    samples = trim(samples, rate_hz)
    power = float(np.mean(samples**2)) if len(samples) else 0.0
    if power < 1e-9:
        raise DataError(f"voice {voice.name} says nothing for {text!r}; write it in words")
    if voice.split != "preset":
        samples = samples * np.float32(_LEVEL / power**0.5)
    peak = float(np.abs(samples).max())
    return Audio(samples / np.float32(max(1.0, peak / 0.99)), rate_hz, text)


def _tone(text: str, pace: float) -> Audio:
    """60 ms a letter, at a pitch of its own, 16 kHz."""
    count = round(960 / pace)
    times_s = np.arange(count) / 16_000
    fade = np.sin(np.pi * np.arange(count) / count)
    letters = [np.sin(2 * np.pi * (200 + 25 * (ord(letter.lower()) % 60)) * times_s) * fade for letter in text]
    return Audio((0.3 * np.concatenate(letters)).astype(np.float32), 16_000)
