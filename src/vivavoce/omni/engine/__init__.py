"""Engines that run the omni model: `load_engine` gives one for a server. Nothing heavy is imported until it is called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vivavoce.omni.engine.duplex import OmniEngine


def load_engine(path: Path | str, num_slots: int = 1, *, backend: str = "auto") -> OmniEngine:
    """A live engine (`engine_protocol.DuplexEngine`) for the checkpoint in folder `path`.

    backend: "auto" (`onnx-fp32` where the `onnx` package is there, else `torch`), "torch", or "onnx-fp32", "onnx-int8",
        "onnx-int4".
    Raises: CheckpointError if the checkpoint is broken; ConfigError for an unknown backend.
    """
    from vivavoce.omni.engine.loading import load_engine as load

    return load(path, num_slots, backend=backend)
