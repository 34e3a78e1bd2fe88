"""Where the small critic that ships lies."""

from __future__ import annotations

from pathlib import Path

from vivavoce.errors import CheckpointError

_SHIPPED = Path(__file__).resolve().parents[3] / "checkpoints" / "critique-nano"


def find_critic(name: str) -> str:
    """`name`, or the shipped critic's folder when it is empty.

    Raises: CheckpointError if the shipped critic is asked for and is not there.
    """
    if name:
        return name
    if not (_SHIPPED / "model.safetensors").is_file():
        raise CheckpointError(
            "the small critic does not lie in checkpoints/critique-nano (it comes with a clone, not with a wheel); "
            "train one with recipes/critique_nano.py, or name a model with --model"
        )
    return str(_SHIPPED)
