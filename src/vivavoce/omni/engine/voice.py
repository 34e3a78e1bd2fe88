"""From speech codes to sound and from image codes to pictures, as far as generation needs the codec and the tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from vivavoce.content import Image
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.images.network import ImageTokenizer


class Voice(Protocol):
    """A streaming speech decoder. States are values: decoding a frame makes a new one."""

    def start(self) -> Any:
        """The state before an utterance."""
        ...

    def decode(self, codes: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Samples [1920 T] float32 at 24 kHz of codes [T, K], and the state after them."""
        ...


class Painter(Protocol):
    """Draws pictures from their codes."""

    def paint(self, codes: np.ndarray) -> Image:
        """The picture of codes [64]."""
        ...


class CodecVoice:
    """A `Voice` by the codec in PyTorch."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec.eval()

    @torch.inference_mode()
    def start(self) -> Any:
        """Silence."""
        return self._codec.decoder.make_state(1)

    @torch.inference_mode()
    def decode(self, codes: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Samples and the new state."""
        latent = self._codec.quantizer.decode(torch.from_numpy(np.asarray(codes, np.int64))[None])
        samples, state = self._codec.decoder.step(latent, state)
        return samples[0].numpy(), state


class TokenizerPainter:
    """A `Painter` by the image tokenizer."""

    def __init__(self, tokenizer: ImageTokenizer) -> None:
        self._tokenizer = tokenizer.eval()

    def paint(self, codes: np.ndarray) -> Image:
        """The picture of codes [64]."""
        pixels = self._tokenizer.decode(torch.from_numpy(np.asarray(codes, np.int64))[None])
        return Image(pixels[0].numpy())


def decode_all(voice: Voice, codes: Sequence[np.ndarray]) -> np.ndarray:
    """Samples of a whole utterance, [1920 T]."""
    return voice.decode(np.stack(codes), voice.start())[0] if codes else np.zeros(0, np.float32)
