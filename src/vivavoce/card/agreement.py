"""How far each rule grader agrees with gold labels: printed beside every score that it gives.

Gold is `graders/gold/EVALUATION.jsonl`: an item, a reply and the label that a reader gave it. The labels that ship are the
authors'; `--labels` adds others' by the same shape.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.evaluation import Item, Reply
from vivavoce.errors import DataError
from vivavoce.grading import Graded
from vivavoce.stats import Estimate, estimate_proportion, measure_kappa


@dataclass(frozen=True, slots=True)
class Agreement:
    """Share of gold labels that the grader gives, Cohen's kappa, and how many it left ungraded."""

    share: Estimate
    kappa: float | None
    num_ungraded: int
    labelled_by: str

    def to_json(self) -> dict[str, Any]:
        """As card.json keeps it."""
        return {
            "share": self.share.to_json(),
            "kappa": None if self.kappa is None else round(self.kappa, 4),
            "num_ungraded": self.num_ungraded,
            "labelled_by": self.labelled_by,
        }


@dataclass(frozen=True, slots=True)
class GoldRow:
    """A reply, and whether a reader says that it passes."""

    item: Item
    reply: str
    label: int
    labelled_by: str


def read_gold(lines: Iterable[str], name: str) -> list[GoldRow]:
    """Rows `{"measure", "prompt", "reply", "label", ...}`; other keys are those of an item.

    Raises: DataError for a row that is not JSON, lacks a key, or has a label other than 0 or 1.
    """
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            reply, label, by = row.pop("reply"), row.pop("label"), row.pop("labelled_by", "the authors")
            item = Item.from_json({"item_id": f"gold-{number}", **row})
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(
                f"{name}, line {number} is no gold row ({error}); need measure, prompt, reply, label"
            ) from error
        if label not in (0, 1):
            raise DataError(f"{name}, line {number} has label {label!r}; allowed: 0, 1")
        rows.append(GoldRow(item, reply, label, by))
    return rows


@cache
def load_gold(evaluation_id: str) -> tuple[GoldRow, ...]:
    """The gold rows that ship for an evaluation, () where there are none."""
    path = resources.files("vivavoce.card").joinpath("graders", "gold", f"{evaluation_id}.jsonl")
    return tuple(read_gold(path.read_text(encoding="utf-8").split("\n"), path.name)) if path.is_file() else ()


def measure_agreement(evaluation_id: str, labels: Path | None = None) -> Agreement | None:
    """Agreement of an evaluation's grader with its gold, and with further `labels`; None where there is no gold."""
    rows = list(load_gold(evaluation_id))
    if labels is not None and (labels / f"{evaluation_id}.jsonl").is_file():
        path = labels / f"{evaluation_id}.jsonl"
        rows += read_gold(path.read_text(encoding="utf-8").split("\n"), str(path))
    if not rows:
        return None
    evaluation = EVALUATIONS[evaluation_id]
    given, right, ungraded = [], [], 0
    for row in rows:
        texts = (row.reply,)
        grade = evaluation.grade(Reply(item=row.item, arm="text", text=row.reply, texts=texts))
        if isinstance(grade, Graded):
            given.append(int(grade.value))
            right.append(row.label)
        else:
            ungraded += 1
    same = sum(a == b for a, b in zip(given, right))
    by = ", ".join(sorted({row.labelled_by for row in rows}))
    return Agreement(estimate_proportion(same, len(given)), measure_kappa(given, right), ungraded, by)
