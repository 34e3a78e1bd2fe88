"""The preset voice's vector, kept as data, and the packaged speaker encoder behind the guard's protocol."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np

from vivavoce.content import Audio
from vivavoce.errors import AssetError, ConfigError, DataError, MissingExtraError
from vivavoce.serve.guards.voice import VoiceReference


class PackagedEncoder:
    """The judge's speaker encoder (`vivavoce.omni.judges.speaker`) as the guard uses it."""

    def __init__(self) -> None:
        from vivavoce.omni.judges.speaker import embed_voice, load_encoder

        load_encoder()
        self._embed = embed_voice

    def embed(self, samples: np.ndarray, rate_hz: int) -> np.ndarray:
        """Unit vector [256]; zeros for what is too short or quiet to have a voice."""
        try:
            return self._embed(Audio(samples, rate_hz))
        except DataError:
            return np.zeros(256, np.float32)


def load_preset(voice: str) -> VoiceReference:
    """The reference of a preset voice.

    Raises: ConfigError if its vector does not ship, AssetError if the encoder's weights can't be had.
    """
    path = resources.files("vivavoce.serve.guards").joinpath(f"preset_{voice}.json")
    if not path.is_file():
        raise ConfigError(f"there is no reference of the voice {voice!r}; make one with recipes/serve_preset_voice.py")
    try:
        encoder = PackagedEncoder()
    except ImportError as error:
        raise MissingExtraError(f"the speaker encoder needs {error.name}") from error
    except OSError as error:
        raise AssetError(f"the speaker encoder's weights can't be had: {error}") from error
    return VoiceReference(encoder, np.asarray(json.loads(path.read_text())["vector"], np.float32))
