"""Critique quality, refinement gain and GDC gaps against validation loss, at sizes from 0.03 M to 135 M parameters.

command    python recipes/critique_scaling.py --out runs/critique-scaling
           (what has been measured: --sizes 3xs 2xs xs smollm2-135m-instruct --trained xs=checkpoints/critique-nano
           --num-examples 60000 --learning-rate 3e-3 --num-items 40 --num-validation 8 --num-critiques 2 --num-refinements 2
           --pretrained-num-examples 240 --pretrained-batch-examples 8 --pretrained-learning-rate 3e-4
           --pretrained-num-items 5 --pretrained-in-bfloat16; 21 minutes of one core)
hardware   a GPU for smollm2-135m-instruct; the others train on CPU
time       training, processor time of one core: 0.31 s a step of xs (recipes/critique_nano.py), about 1 s of s, 5 s of SmolLM2-135M
           at 8 examples; 3,125 steps are 16 minutes for xs and 1 hour for s; measuring comes on top.
           A run that is stopped goes on at the size it was in
expected   docs/critique.md, "Scaling": loss 0.81, 0.72, 0.58 nats a character for 3xs, 2xs, xs at 938 steps (n=40, seed 0),
           CD_pairs -0.05, 0.10 or 0.21 (two processors), 0.29; SmolLM2-135M 0.50 after 30 steps, hardly
           anything in form. At 200 steps of the others hardly anything is in form and no gap is defined. Seen in the
           paper: larger models' critiques are more often helpful, small models gain nothing from refinement.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from vivavoce.critique.scaling import ScalingConfig, list_curve, run_scaling
from vivavoce.critique.training import TrainingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What may be changed."""

    out: Path
    """Folder of the runs, points.json and scaling.svg; a stopped recipe goes on from it."""
    sizes: tuple[str, ...] = ("2xs", "xs", "s", "m", "smollm2-135m-instruct")
    """Sizes from scratch, or models."""
    num_examples: int = 200_000
    """Training examples per size."""
    num_problems: int = 1000
    """Training problems per synthetic task."""
    num_items: int = 60
    """Held-out problems per task."""
    num_validation: int = 60
    """Validation problems per task."""
    num_critiques: int = 8
    """Critiques per answer."""
    num_refinements: int = 4
    """Refinements of which best-of-N keeps one."""
    max_new_tokens: int = 40
    """Bound of an answer, critique or refinement; the longest target of the quick tasks has 27 tokens."""
    learning_rate: float = 2e-3
    """Of the sizes from scratch."""
    batch_examples: int = 64
    """Examples a step of those."""
    pretrained_learning_rate: float = 1e-4
    """Of the pretrained ones."""
    pretrained_num_examples: int | None = None
    """Training examples of those; as many as of the others when None."""
    pretrained_batch_examples: int | None = None
    """Examples a step of those; as many as of the others when None."""
    pretrained_num_items: int | None = None
    """Held-out problems per task of those, and of the matrix; as many as of the others when None."""
    pretrained_in_bfloat16: bool = False
    """Measure those in bfloat16."""
    trained: tuple[str, ...] = ()
    """SIZE=FOLDER of models trained before with these settings, such as xs=checkpoints/critique-nano."""
    seed: int = 0
    """Of everything."""


def main(recipe: Recipe) -> None:
    """Run, print the curve."""
    training = TrainingConfig(
        num_examples=recipe.num_examples,
        batch_examples=recipe.batch_examples,
        learning_rate=recipe.learning_rate,
        save_every_steps=25,  # chosen: a minute or two of the largest size on one core
    )
    config = ScalingConfig(
        sizes=recipe.sizes, training=training, pretrained_learning_rate=recipe.pretrained_learning_rate,
        pretrained_num_examples=recipe.pretrained_num_examples,
        pretrained_batch_examples=recipe.pretrained_batch_examples, pretrained_num_items=recipe.pretrained_num_items,
        pretrained_in_bfloat16=recipe.pretrained_in_bfloat16, num_validation=recipe.num_validation, num_problems=recipe.num_problems,
        num_items=recipe.num_items, num_critiques=recipe.num_critiques, num_refinements=recipe.num_refinements,
        max_new_tokens=recipe.max_new_tokens, seed=recipe.seed,
    )  # fmt: skip
    trained = {size: Path(folder) for size, _, folder in (pair.partition("=") for pair in recipe.trained)}
    points = run_scaling(config, recipe.out, trained=trained)
    for point in points:
        print(
            f"{point['size']:<24}{point['num_parameters']:>12,} parameters  loss {point['loss_nats_per_char']['value']:.4f}"
        )
    for row in sorted(list_curve(points), key=lambda row: (row["measure"], -row["loss"])):
        interval = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
        print(f"{row['measure']:<34}{row['size']:<24}{row['value']:.3f}{interval}")


if __name__ == "__main__":
    main(tyro.cli(Recipe))
