"""The studio of package voices and judges: teachers of `data.voices`, judges of `omni.judges`, each only where it works.

Voices are ordered so that the first ones are unlike each other and quick; those that trained a model of ours are marked in
`describe`, because a familiar voice is an easy one.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

import numpy as np

from vivavoce.card.speech import INPUT_RATE_HZ
from vivavoce.content import Audio
from vivavoce.data.voices.roster import Voice, load_roster
from vivavoce.data.voices.speaking import speak
from vivavoce.errors import ConfigError, VivaError

ORDER = (
    "slt", "rms", "ked", "awb", "joe", "espeak-scots", "kal", "espeak-gb", "heart-low", "joe-high", "slt-high", "rms-low",
    "espeak-us", "kumo", "alpha",
)  # fmt: skip
"""Voices by name. chosen: a woman, an American man, an unheard man, a Scot first; the slow ones last."""

FOREIGN_LANGUAGES = ("de", "es", "fr")
"""Languages other than English, as espeak-ng names them; voices called `espeak:LANGUAGE+VARIANT` speak them."""
FOREIGN_PREFIX = "espeak:"


@cache
def _find_voices() -> tuple[str, ...]:
    roster, works = load_roster(), dict[str, bool]()
    for name in ORDER:
        engine = roster[name].engine
        if engine not in works:
            works[engine] = _try_voice(roster[name])
    return tuple(name for name in ORDER if works[roster[name].engine])


class PackageStudio:
    """See the module docstring. What is missing is left out, never replaced in silence."""

    name = "packages"
    preset_voice = "heart"

    @property
    def languages(self) -> tuple[str, ...]:
        """English, and what espeak-ng reads where it works."""
        works = any(load_roster()[name].engine == "espeak" for name in self.voices)
        return ("en", *FOREIGN_LANGUAGES) if works else ("en",)

    @property
    def voices(self) -> tuple[str, ...]:
        """The voices that speak on this machine."""
        return _find_voices()

    def speak(self, text: str, voice: str, seed: int = 0) -> Audio:
        """Raises: DataError or AssetError where the voice is not there or cannot say it."""
        del seed  # the teachers read the same text the same way
        found = _resolve(voice)
        pieces = [speak(piece, found, INPUT_RATE_HZ).samples for piece in split_long(text)]
        pause = np.zeros(INPUT_RATE_HZ // 5, np.float32)
        joined = [part for piece in pieces for part in (pause, piece)][1:]
        return Audio(np.concatenate(joined), INPUT_RATE_HZ, text)

    @property
    def has_recogniser(self) -> bool:
        return self._judges.recogniser is not None

    @property
    def has_speaker_encoder(self) -> bool:
        return self._judges.encoder is not None

    def recognise(self, audio: Audio) -> str | None:
        return None if self._judges.recogniser is None else self._judges.recogniser(audio)

    def embed(self, audio: Audio) -> np.ndarray | None:
        return None if self._judges.encoder is None else self._judges.encoder(audio)

    def rate_quality(self, audio: Audio) -> float | None:
        return None if self._judges.quality is None else self._judges.quality(audio)

    @cached_property
    def _judges(self) -> Any:
        from vivavoce.card.judges import load_judges

        return load_judges()

    def describe(self) -> dict[str, str]:
        roster = load_roster()
        said = ", ".join(f"{name} ({roster[name].split})" for name in self.voices)
        return {"voices": said, "preset": self.preset_voice, **self._judges.describe()}


def _resolve(name: str) -> Voice:
    """A voice of the roster, or one of espeak-ng's in another language.

    Raises: ConfigError for neither.
    """
    roster = load_roster()
    if name in roster:
        return roster[name]
    program_voice = name.removeprefix(FOREIGN_PREFIX)
    if program_voice != name and program_voice.partition("+")[0] in FOREIGN_LANGUAGES:
        about = "formant synthesis, not English"
        return Voice(name=name, engine="espeak", voice=program_voice, split="none", share=0.0, about=about)
    raise ConfigError(f"voice {name!r} is unknown; allowed: {', '.join(roster)}")


def _try_voice(voice: Voice) -> bool:
    try:
        speak("Hello there.", voice, INPUT_RATE_HZ)
    except (VivaError, OSError, ImportError):
        return False
    return True


def split_long(text: str, limit: int = 300) -> list[str]:
    """Pieces of at most `limit` characters, cut at sentence ends where there are any, else between words."""
    pieces, current = [], ""
    for word in text.split():
        if current and (len(current) + len(word) + 1 > limit or (current[-1] in ".!?;" and len(current) > limit // 2)):
            pieces.append(current)
            current = word
        else:
            current = f"{current} {word}".strip()
    return [*pieces, current] if current else pieces
