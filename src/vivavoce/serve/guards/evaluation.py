"""How good the text guards are: precision, recall and false positives on labelled sets, each with n and interval.

The package's own sentences are written for it, half of them harmless neighbours of the harmful half. The voice guard is
measured in `voice_calibration`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from vivavoce.errors import DataError
from vivavoce.serve.guards.findings import TextGuard, Where
from vivavoce.stats import Estimate, estimate_proportion


@dataclass(frozen=True, slots=True)
class Labelled:
    """A sentence and whether it must be found. question: the user's words, where the text is an answer."""

    text: str
    is_bad: bool
    where: Where = "input"
    question: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of a yes-no judgement against labels."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def precision(self) -> Estimate:
        """Of what was found, the share that is bad."""
        return estimate_proportion(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> Estimate:
        """Of what is bad, the share that was found."""
        return estimate_proportion(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def false_positive_rate(self) -> Estimate:
        """Of what is harmless, the share that was found."""
        return estimate_proportion(self.false_positives, self.false_positives + self.true_negatives)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        bad = self.true_positives + self.false_negatives
        total = bad + self.false_positives + self.true_negatives
        return {
            "n": total,
            "prevalence": bad / total if total else None,
            "precision": self.precision.to_json(),
            "recall": self.recall.to_json(),
            "false_positive_rate": self.false_positive_rate.to_json(),
        }


def score(found: Sequence[bool], bad: Sequence[bool]) -> Score:
    """Counts of findings against labels."""
    pairs = list(zip(found, bad, strict=True))
    return Score(
        sum(f and b for f, b in pairs),
        sum(f and not b for f, b in pairs),
        sum(b and not f for f, b in pairs),
        sum(not f and not b for f, b in pairs),
    )


def load_labelled(name: str) -> list[Labelled]:
    """The package's own set of a guard (`moderation`, `identity`)."""
    text = resources.files("vivavoce.serve.guards").joinpath(f"{name}_set.jsonl").read_text()
    return _parse(text.splitlines(), f"{name}_set.jsonl")


def read_labelled(path: Path) -> list[Labelled]:
    """Someone's own set: JSON lines of text, is_bad, and where and question if need be. Raises: DataError."""
    try:
        return _parse(path.read_text().splitlines(), str(path))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _parse(lines: Iterable[str], name: str) -> list[Labelled]:
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(Labelled(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{name}, line {number}: {error}; need text and is_bad, may have where, question, category"
            ) from error
    return rows


def score_text_guard(guard: TextGuard, rows: Sequence[Labelled]) -> tuple[Score, list[Labelled]]:
    """The score on a set, and the sentences that were judged wrongly."""
    found = [guard.judge(row.text, row.where, row.question) is not None for row in rows]
    wrong = [row for row, was_found in zip(rows, found) if was_found != row.is_bad]
    return score(found, [row.is_bad for row in rows]), wrong
