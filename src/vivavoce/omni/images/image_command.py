"""`viva train image`."""

from __future__ import annotations

from pathlib import Path

from vivavoce.omni.images.training import make_config, train, with_steps


def train_command(
    *, preset: str = "nano", run: Path = Path("runs/images"), resume: bool = False, steps: int | None = None
) -> None:
    """Train the image tokenizer on drawn scenes.

    Args:
        preset: nano, small or tiny.
        run: run directory; the finished tokenizer is written into it.
        resume: go on with a run that was stopped.
        steps: train for another number of steps than the preset's.
    """
    folder = train(with_steps(make_config(preset), steps), run, resume=resume)
    print(f"image tokenizer written to {folder}")
