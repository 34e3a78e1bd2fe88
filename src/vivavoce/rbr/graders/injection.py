"""How far adversarial endings move a grader: the same completions, with and without, proposition by proposition.

The endings are a data file. What structure can hold (marks, control tokens, slots) is tested; what only a model's sense can
hold (an ending that says "answer yes") is measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vivavoce.grading import Graded
from vivavoce.rbr.graders.interface import Grader, GradeRequest, Item, grade_all_now
from vivavoce.rbr.rules import find_policy, read_strict_yaml
from vivavoce.stats import Estimate, estimate_mean


def load_injections(name_or_path: str | Path = "injections") -> dict[str, str]:
    """Endings by name."""
    return dict(read_strict_yaml(find_policy(name_or_path))["injections"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Effect of one ending. flips: share of grades that cross 0.5; mean_shift: mean change of the probability."""

    name: str
    flips: Estimate
    mean_shift: Estimate

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"name": self.name, "flips": self.flips.to_json(), "mean_shift": self.mean_shift.to_json()}


def inject(item: Item, ending: str) -> Item:
    """The item with an ending on its completion."""
    return Item(prompt=item.prompt, completion=item.completion + ending.replace("{{boundary}}", "0" * 16))


def measure_injections(
    grader: Grader, items: Sequence[Item], names: Sequence[str], *, num_items: int, seed: int
) -> list[Shift]:
    """Every ending on `num_items` items drawn from `seed`; intervals are clustered by item."""
    items = [item for item in items if item.completion.strip()]
    if num_items <= 0 or not items:
        return []
    drawn = np.random.default_rng(seed).permutation(len(items))[:num_items]
    chosen = [items[int(idx)] for idx in drawn]
    before = grade_all_now(grader, [GradeRequest(item=item, propositions=tuple(names)) for item in chosen])
    shifts = []
    for name, ending in load_injections().items():
        requests = [GradeRequest(item=inject(item, ending), propositions=tuple(names)) for item in chosen]
        after = grade_all_now(grader, requests)
        flips: list[float] = []
        moves: list[float] = []
        owners: list[int] = []
        for owner, (old, new) in enumerate(zip(before, after)):
            for proposition in names:
                a, b = old[proposition], new[proposition]
                if isinstance(a, Graded) and isinstance(b, Graded):
                    flips.append(float((a.value >= 0.5) != (b.value >= 0.5)))
                    moves.append(b.value - a.value)
                    owners.append(owner)
        shifts.append(Shift(name=name, flips=estimate_mean(flips, owners), mean_shift=estimate_mean(moves, owners)))
    return shifts
