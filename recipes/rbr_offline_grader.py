"""Make the offline grader that ships: synthetic completions, the gold training split, a classifier, its report.

command    python recipes/rbr_offline_grader.py --gold runs/rbr_gold
hardware   one CPU core
time       about two minutes
expected   docs/rbr.md, "The offline grader": verdict per proposition on the gold test split, seed 0
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from vivavoce.cli import main as viva


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What may be changed."""

    gold: Path = Path("runs/rbr_gold")
    """The gold set (`viva rbr fetch`)."""
    made: Path = Path("runs/rbr_made")
    """Where the synthetic completions go."""
    out: Path = Path("checkpoints/rbr_grader")
    """Where the grader goes."""


def main(recipe: Recipe) -> int:
    """Three commands."""
    if not (recipe.made / "manifest.json").exists() and (
        code := viva(["rbr", "synth", str(recipe.made), "--grader", "none"])
    ):
        return code
    completions = str(recipe.made / "completions.jsonl")
    if code := viva(["rbr", "distill", str(recipe.out), "--gold", str(recipe.gold), "--completions", completions]):
        return code
    return viva(["rbr", "gold", f"classifier:{recipe.out}", "--gold", str(recipe.gold), "--injections", "40"])


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Recipe)))
