"""Train the small critic that ships: one from-scratch decoder on the joint tasks over the five synthetic tasks.

command    python recipes/critique_nano.py --out runs/critique-nano
hardware   one CPU core (or a GPU)
time       0.31 s of one core a step (batch 64): about 5 minutes for all 938; 10 minutes beside other work
expected   validation loss 0.577 [0.519, 0.634] nats per character, 300 passages, seed 0: the weights that ship
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from vivavoce.critique.synthetic.registry import make_records, make_tasks
from vivavoce.critique.tasks.examples import make_examples
from vivavoce.critique.training import TrainingConfig, train


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What may be changed."""

    out: Path
    """Run directory."""
    base: str = "xs"
    """Size from scratch, or a model to start from."""
    num_examples: int = 60_000
    """Examples seen."""
    num_problems: int = 1000
    """Training problems per synthetic task."""
    difficulty: str = "quick"
    """quick or full."""
    learning_rate: float = 3e-3
    """Peak learning rate."""
    batch_examples: int = 64
    """Examples a step."""
    seed: int = 0
    """Seed of data, weights and order."""
    resume: bool = False
    """Go on with a run that was stopped."""


def main(recipe: Recipe) -> None:
    """Make data, train, print the report."""
    tasks = make_tasks(recipe.difficulty).values()
    examples = list(make_examples(make_records(tasks, "train", recipe.num_problems, recipe.seed)))
    validation = list(make_examples(make_records(tasks, "validation", 60, recipe.seed)))
    config = TrainingConfig(
        base=recipe.base, num_examples=recipe.num_examples, learning_rate=recipe.learning_rate,
        batch_examples=recipe.batch_examples, seed=recipe.seed,
    )  # fmt: skip
    _, report = train(config, examples, validation, recipe.out, resume=recipe.resume)
    print(f"{report.num_parameters} parameters, {report.num_steps} steps, {report.num_left_out} examples left out")
    print(f"validation loss {report.loss} nats per character, passages as clusters")
    for task, loss in report.loss_by_task.items():
        print(f"  {task:<24}{loss}")
    for task, error in report.calibration_error.items():
        print(
            f"  calibration error of {task}: {error['before']:.3f} before, {error['after']:.3f} after, n {error['n']:.0f}"
        )


if __name__ == "__main__":
    main(tyro.cli(Recipe))
