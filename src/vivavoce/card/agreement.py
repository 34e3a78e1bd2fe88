"""How far each grader agrees with gold labels: printed beside every score that it gives or doubts.

Gold is `graders/gold/EVALUATION.jsonl`: an item, a reply and the label that a reader gave it. The labels that ship are the
authors'; `--labels` adds others' by the same shape.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.evaluation import Item, Reply
from vivavoce.errors import DataError
from vivavoce.grading import Grade, Graded
from vivavoce.rbr.graders.interface import run_now
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


def list_rows(evaluation_id: str, labels: Path | None = None) -> list[GoldRow]:
    """The gold rows of an evaluation: those that ship, then those of the folder `labels`.

    Raises: DataError if there is no such folder, or a row in it is none.
    """
    rows = list(load_gold(evaluation_id))
    if labels is not None and not labels.is_dir():
        raise DataError(f"folder of labels {labels} does not exist; name one that holds EVALUATION.jsonl files")
    if labels is not None and (labels / f"{evaluation_id}.jsonl").is_file():
        path = labels / f"{evaluation_id}.jsonl"
        rows += read_gold(path.read_text(encoding="utf-8").split("\n"), str(path))
    return rows


def measure_agreement(evaluation_id: str, labels: Path | None = None) -> Agreement | None:
    """Agreement of an evaluation's rules with its gold, and with further `labels`; None where there is no gold."""
    evaluation, rows = EVALUATIONS[evaluation_id], list_rows(evaluation_id, labels)
    grades = [evaluation.grade(Reply(item=row.item, arm="text", text=row.reply, texts=(row.reply,))) for row in rows]
    return compare_with_gold(rows, grades)


def compare_with_gold(rows: Sequence[GoldRow], grades: Sequence[Grade]) -> Agreement | None:
    """Agreement of `grades` with the labels of `rows`, in one order; None without rows. Ungraded is counted, never wrong."""
    if not rows:
        return None
    pairs = [(int(grade.value), row.label) for row, grade in zip(rows, grades) if isinstance(grade, Graded)]
    given, right = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    by = ", ".join(sorted({row.labelled_by for row in rows}))
    share = estimate_proportion(sum(a == b for a, b in pairs), len(pairs))
    return Agreement(share, measure_kappa(given, right), len(rows) - len(pairs), by)


def measure_opinions(rbr: str, judge: str | None, labels: Path | None = None) -> dict[str, Any]:
    """What the second opinions are, and their agreement with gold labels, `{name: {identity, evaluations}}`, as JSON.

    rbr: a grader as `viva rbr` names it, or `none`. judge: an Inspect model, asked once for every gold row.
    Raises: ConfigError, CheckpointError for a grader that can't be opened; what a judge fails on is counted as ungraded.
    """
    from vivavoce.card.graders.propositions import open_proposition_grader

    found: dict[str, Any] = {}
    grader = open_proposition_grader(rbr)
    rated = [name for name, evaluation in EVALUATIONS.items() if evaluation.grader == "rules"]
    if grader is not None:
        table = {}
        for name in rated:
            rows = [row for row in list_rows(name, labels) if grader.knows(row.item.measure)]
            table[name] = compare_with_gold(rows, grader.grade([(row.item, row.reply) for row in rows]))
        found["rbr"] = {"identity": grader.identity, "evaluations": _drop_empty(table)}
    if judge is not None:
        table = {name: run_now(_ask_about(judge, name, list_rows(name, labels))) for name in rated}
        found["judge"] = {"identity": judge, "evaluations": _drop_empty(table)}
    return found


async def _ask_about(judge: str, name: str, rows: Sequence[GoldRow]) -> Agreement | None:
    from inspect_ai.model import get_model

    from vivavoce.card.graders.opinions import judge_answers

    pairs = [(row.item, row.reply) for row in rows]
    # a judge of its own: clients keep to the event loop that they were opened in
    return compare_with_gold(rows, await judge_answers(get_model(judge, memoize=False), EVALUATIONS[name], pairs))


def _drop_empty(table: Mapping[str, Agreement | None]) -> dict[str, Any]:
    return {name: found.to_json() for name, found in table.items() if found is not None}
