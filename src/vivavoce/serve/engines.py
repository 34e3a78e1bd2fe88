"""Which engine to serve, by name: the scripted one, or a checkpoint. The only place that reaches for the real model."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from vivavoce.errors import CheckpointError
from vivavoce.omni.engine_protocol import DuplexEngine

SCRIPTED = "scripted"


def load(model: str, num_slots: int, backend: str = "auto") -> DuplexEngine:
    """The engine of a checkpoint folder or Hub name; `scripted` needs no weights. backend: see `omni.engine.load_engine`.

    Raises: CheckpointError if there is nothing to load.
    """
    if model == SCRIPTED:
        from vivavoce.serve.scripted_engine import ScriptedEngine

        return ScriptedEngine(num_slots)
    is_path = Path(model).exists() or model.startswith((".", "/")) or model.count("/") != 1
    if is_path and not (Path(model) / "config.json").is_file():
        raise CheckpointError(
            f"no model at {model} (config.json is missing); train one with `viva train`, name a checkpoint folder, "
            f"or try the server without weights: --model {SCRIPTED}"
        )
    return import_module("vivavoce.omni.engine").load_engine(model, num_slots, backend=backend)
