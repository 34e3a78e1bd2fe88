"""What `viva rbr gold` says of a grader, on rows of our own; and what it says when a file is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vivavoce.cli import main
from vivavoce.content import user
from vivavoce.errors import DataError
from vivavoce.grading import Graded, Ungraded
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.gold import describe_limits, measure_grader
from vivavoce.rbr.gold_set import GoldRow, load_gold
from vivavoce.rbr.graders.interface import Item

RULES = load_rules()
FALSE = dict.fromkeys(RULES.propositions, False)


def make_row(response_type: str = "soft_refuse_intent", **labels: bool) -> GoldRow:
    item = Item(prompt=(user("Hi"),), completion="Hello")
    return GoldRow(item=item, response_type=response_type, area="", labels={**FALSE, **labels}, where="x")


def write_row(**changes: Any) -> str:
    row = {"prompt": [{"role": "user", "content": "Hi"}], "completion": "Sorry, no.", "response_type": "hard_refuse",
           "propositions": {**FALSE, "apology": True}}  # fmt: skip
    return json.dumps({**row, **changes})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{half", "line 2: not a gold row"),
        (write_row(propositions={"poetry": True}), "line 2: label poetry is True"),
        (write_row(propositions={"apology": "yes"}), "line 2: label apology is 'yes'; need true or false"),
        (write_row(response_type="sing"), "line 2: not a gold row"),
        (write_row(prompt=[{"role": "assistant", "content": "Hi"}]), "line 2: the prompt does not end with a user"),
        (write_row(completion=[]), "line 2: not a gold row"),
    ],
)
def test_a_broken_row_is_refused_with_file_and_line(line: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(write_row() + "\n" + line + "\n")
    with pytest.raises(DataError, match=says):
        load_gold(tmp_path, "train", RULES)


def test_an_empty_or_missing_gold_set_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="viva rbr fetch"):
        load_gold(tmp_path, "test", RULES)
    (tmp_path / "test.jsonl").write_text("\n")
    with pytest.raises(DataError, match="holds no rows"):
        load_gold(tmp_path, "test", RULES)


def test_a_gold_set_without_ideal_soft_refusals_is_said_to_have_none() -> None:
    limits = describe_limits([make_row()] * 7, RULES)
    assert "soft_refuse_intent: 0 of 7 rows are ideal, so no threshold of that class can be chosen here" in limits
    assert "prescribes_dosage: 0 positive rows, so its recall is hardly known" in limits
    assert not [line for line in limits if line.startswith("comply:")], "there are no rows of that type to speak of"
    enough = describe_limits([make_row(prescribes_dosage=True)] * 10, RULES)
    assert not [line for line in enough if line.startswith("prescribes_dosage")]


def test_a_grader_beats_ties_with_or_cannot_be_told_from_a_baseline() -> None:
    truth = np.array([True, False] * 15)
    rows = [make_row(apology=bool(value), judgement=number < 3) for number, value in enumerate(truth)]
    right = [{"apology": Graded(0.9 if value else 0.2), "judgement": Graded(0.5)} for value in truth]
    worse, same = np.where(truth, 0.6, 0.4), np.where(truth, 0.9, 0.1)
    worse[:6] = 1 - worse[:6]

    def verdicts(baseline: np.ndarray) -> list[str]:
        scores = {"words": {"apology": baseline, "judgement": baseline}}
        return [m.verdict for m in measure_grader(rows, right, {}, ("apology", "judgement"), baselines=scores)]

    assert verdicts(worse) == ["beats", "cannot tell (3 positives, 27 negatives)"]
    assert verdicts(same)[0].startswith("does not beat balanced_accuracy 1.000 of words")


@pytest.mark.parametrize(
    ("words", "says"),
    [(("--limit", "0"), "limit is 0; need 1 or more rows"), (("--limit", "-3"), "limit is -3"),
     (("--injections", "-1"), "injections is -1"), (("--examples", "-1"), "examples -1; need 0 or more")],
)  # fmt: skip
def test_a_number_below_its_bound_is_refused(
    words: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text(write_row())
    assert main(["rbr", "gold", "checkers", "--gold", str(tmp_path), *words]) == 2
    assert says in capsys.readouterr().err


def test_a_grader_without_an_error_in_what_was_seen_has_no_interval_of_no_width() -> None:
    rows = [make_row(apology=bool(number % 2)) for number in range(20)]
    grades = [{"apology": Graded(float(number % 2))} for number in range(20)]
    (measured,) = measure_grader(rows, grades, {}, ("apology",))  # type: ignore[arg-type]
    for estimate in (measured.balanced_accuracy, measured.auroc, measured.f1):
        assert (estimate.value, estimate.low, estimate.high) == (1.0, None, None)


def test_what_is_ungraded_is_counted_and_never_scored() -> None:
    rows = [make_row(apology=bool(number % 2)) for number in range(20)]
    grades = [{"apology": Graded(float(number % 2))} for number in range(19)] + [{"apology": Ungraded("empty")}]
    (measured,) = measure_grader(rows, grades, {}, ("apology",))  # type: ignore[arg-type]
    assert measured.coverage.reasons == {"empty": 1}
    assert (measured.balanced_accuracy.value, measured.balanced_accuracy.n) == (1.0, 19)


def test_the_command_reports_every_proposition_with_n_and_the_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "test"):
        lines = [write_row(), write_row(completion="Sure, here it is.", propositions=FALSE)] * 6
        (tmp_path / f"{split}.jsonl").write_text("\n".join([*lines, write_row(completion=" ")]))
    words = ["rbr", "gold", "checkers", "--gold", str(tmp_path), "--json", str(tmp_path / "r.json")]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "own (" in out
    (row,) = [line for line in out.splitlines() if line.startswith("apology ")]
    assert row.split()[1:3] == ["6/12", "0.50"], "the base rate of what is graded, and the threshold"
    assert "hard_refuse: 0 of 13 rows are ideal" in out
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["propositions"].keys() == RULES.propositions.keys()
    assert report["propositions"]["apology"]["coverage"]["reasons"] == {"empty": 1}
