"""The studio of package voices and judges: teachers of `data.voices`, judges of `omni.judges`, each only where it works."""

from __future__ import annotations

import numpy as np

from vivavoce.content import Audio


class PackageStudio:
    """See the module docstring. Not there yet: no voices."""

    name = "packages"
    voices: tuple[str, ...] = ()
    preset_voice = "heart"
    languages: tuple[str, ...] = ("en",)
    has_recogniser = False
    has_speaker_encoder = False

    def speak(self, text: str, voice: str, seed: int = 0) -> Audio:
        raise NotImplementedError

    def recognise(self, audio: Audio) -> str | None:
        return None

    def embed(self, audio: Audio) -> np.ndarray | None:
        return None

    def rate_quality(self, audio: Audio) -> float | None:
        return None

    def describe(self) -> dict[str, str]:
        return {}
