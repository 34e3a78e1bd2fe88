"""From a checkpoint to an engine: which backend, with what beside it."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from vivavoce.errors import ConfigError
from vivavoce.omni.checkpoint import Checkpoint, load_checkpoint
from vivavoce.omni.engine.backend import Backend
from vivavoce.omni.engine.duplex import OmniEngine
from vivavoce.omni.engine.generation import CONTEXT_STEPS, Generation
from vivavoce.omni.engine.onnx_backend import build_cached
from vivavoce.omni.engine.sampling import Sampling
from vivavoce.omni.engine.torch_backend import TorchBackend
from vivavoce.omni.engine.voice import Painter, TokenizerPainter, Voice, make_voice
from vivavoce.omni.layout import RowWriter

logger = logging.getLogger(__name__)

BACKENDS = ("auto", "torch", "onnx-fp32", "onnx-int8", "onnx-int4")


def load_engine(path: Path | str, num_slots: int = 1, *, backend: str = "auto") -> OmniEngine:
    """See `engine.load_engine`."""
    return make_engine(load_checkpoint(path), num_slots, backend=backend)


def make_engine(
    checkpoint: Checkpoint, num_slots: int = 1, *, backend: str = "auto", sampling: Sampling | None = None
) -> OmniEngine:
    """A live engine for a loaded checkpoint."""
    writer = RowWriter(checkpoint.vocabulary, checkpoint.model.config)
    context_steps = min(CONTEXT_STEPS, int(checkpoint.model.config.max_position_embeddings))
    arithmetic = make_backend(checkpoint, backend)
    generation = Generation(arithmetic, checkpoint.vocabulary, sampling=sampling, context_steps=context_steps)
    is_onnx = arithmetic.name.startswith("onnx")
    voice: Voice | None = None if checkpoint.codec is None else make_voice(checkpoint.codec, is_onnx=is_onnx)
    painter: Painter | None = None if checkpoint.images is None else TokenizerPainter(checkpoint.images)
    return OmniEngine(
        generation,
        writer,
        voice=voice,
        painter=painter,
        model_name=checkpoint.name,
        num_slots=num_slots,
        speak_bias=checkpoint.model.config.speak_bias,
    )


def make_backend(checkpoint: Checkpoint, backend: str = "auto", *, num_threads: int = 1) -> Backend:
    """The arithmetic by name.

    Raises: ConfigError for an unknown name; MissingExtraError for an ONNX one without the `onnx` package.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"no backend {backend!r}; there are {', '.join(BACKENDS)}")
    if backend == "auto":
        has_onnx = find_spec("onnx") is not None
        if not has_onnx:
            logger.warning("the package onnx is not installed; PyTorch runs the model, which is slower")
        backend = "onnx-fp32" if has_onnx else "torch"
    if backend == "torch":
        return TorchBackend(checkpoint.model)
    precision = {"onnx-fp32": "fp32", "onnx-int8": "int8", "onnx-int4": "int4"}[backend]
    return build_cached(checkpoint.model, checkpoint.weights_digest, precision, num_threads=num_threads)  # type: ignore[arg-type]
