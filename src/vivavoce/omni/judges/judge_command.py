"""`viva train judge`, `viva eval judge`."""

from __future__ import annotations

from pathlib import Path

from vivavoce.files import write_json
from vivavoce.omni.judges.drawing import SHIPPED, DrawingJudge
from vivavoce.omni.judges.judge_training import make_judge_config, measure_false_passes, measure_judge, train_judge


def train_command(*, preset: str = "nano", run: Path = Path("runs/judge"), resume: bool = False) -> None:
    """Train the judge of drawings on pictures of its own renderer.

    Args:
        preset: nano or tiny.
        run: run directory; the finished judge is written into it.
        resume: go on with a run that was stopped.
    """
    print(f"judge written to {train_judge(make_judge_config(preset), run, resume=resume)}")


def eval_command(*, judge: Path = SHIPPED, json: Path | None = None, pictures: int = 1400, seed: int = 0) -> None:
    """Measure the judge of drawings on true drawings of the test split, which it has never seen the like of.

    Args:
        judge: folder that holds it; by default the one that ships.
        json: write the measures to this file too.
        pictures: drawings to judge.
        seed: of the scenes.
    """
    loaded = DrawingJudge.load(judge)
    table = measure_judge(loaded, pictures, seed)
    false_passes = measure_false_passes(loaded, pictures, seed)
    if json is not None:
        write_json(
            json,
            {
                **{name: value.to_json() for name, value in table.items()},
                "false_passes": false_passes.to_json(),
                "seed": seed,
            },
        )
    for name, estimate in table.items():
        print(f"{name:<18} {estimate}")
    print(f"{'false passes':<18} {false_passes}")
