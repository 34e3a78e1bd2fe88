"""From speech codes to sound and from image codes to pictures, as far as generation needs the codec and the tokenizer."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import torch

from vivavoce.assets import cache_folder
from vivavoce.content import Image
from vivavoce.files import digest_json
from vivavoce.omni.codec.export import OnnxDecoder, export_decoder
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.codec.streaming import StreamingDecoder
from vivavoce.omni.images.network import ImageTokenizer

logger = logging.getLogger(__name__)


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
    """A `Voice` by one of the codec's streaming decoders. push: codes [T, K] int64 to samples; its state is replaced by
    each push, never written into, so that a shallow copy of the decoder is a snapshot."""

    def __init__(self, decoder: Any, push: Callable[[Any, np.ndarray], np.ndarray]) -> None:
        self._decoder, self._push = decoder, push

    def start(self) -> Any:
        """Silence."""
        decoder = copy.copy(self._decoder)
        decoder.reset()
        return decoder

    def decode(self, codes: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Samples and the new state."""
        decoder = copy.copy(state)
        return self._push(decoder, np.asarray(codes, np.int64)), decoder


def make_torch_voice(codec: Codec) -> CodecVoice:
    """The codec's decoder in PyTorch."""
    return CodecVoice(StreamingDecoder(codec.eval()), lambda decoder, codes: decoder.push(torch.from_numpy(codes)))


def make_onnx_voice(codec: Codec) -> CodecVoice:
    """The codec's decoder in ONNX Runtime; exported once and kept beside the engines. Needs onnx and onnxscript."""
    path = cache_folder() / "engines" / f"voice-{digest_codec(codec)}.onnx"
    if not path.exists():
        logger.info("exporting the voice to %s, once", path)
        export_decoder(codec, path)
    return CodecVoice(OnnxDecoder(path), lambda decoder, codes: decoder.push(codes))


def make_voice(codec: Codec, *, is_onnx: bool) -> CodecVoice:
    """ONNX if wanted and its export is possible (or done before), else PyTorch."""
    if is_onnx:
        path = cache_folder() / "engines" / f"voice-{digest_codec(codec)}.onnx"
        if path.exists() or (find_spec("onnx") and find_spec("onnxscript")):
            return make_onnx_voice(codec)
    return make_torch_voice(codec)


def digest_codec(codec: Codec) -> str:
    """Short digest of a decoder's weights."""
    sums = {name: tensor.double().sum().item() for name, tensor in codec.decoder.state_dict().items()}
    squares = {name: tensor.double().square().sum().item() for name, tensor in codec.decoder.state_dict().items()}
    return digest_json([sums, squares, str(codec.config)])[:16]


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
