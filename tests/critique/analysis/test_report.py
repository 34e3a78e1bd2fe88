"""From exported files to the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vivavoce.cli import main
from vivavoce.critique.analysis.report import render_report
from vivavoce.critique.analysis.summary import measure_agreement, summarise
from vivavoce.critique.analysis.trials import decide, make_study, read_study
from vivavoce.errors import DataError
from vivavoce.stats import estimate_proportion


def write(folder: Path, rows: Any) -> Path:
    written, assignments, findings = rows
    folder.mkdir(exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(written))
    for name, values in (("assignments", assignments), ("findings", findings)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in values))
    return folder


def test_the_report_is_one_file_and_the_same_bytes_again(rows: Any) -> None:
    study = make_study(*rows)
    summary = summarise(study, seed=0)
    first, second = (render_report(study, summary, seed=0) for _ in range(2))
    assert first == second
    assert first.count("<svg") == 6
    assert not [word for word in ("<script", "src=", "@import", "url(http") if word in first]


def test_a_title_cannot_break_out_of_the_report(rows: Any, retitled: Any) -> None:
    study = make_study(retitled, *rows[1:])
    assert "<script>alert" not in render_report(study, summarise(study, seed=0), seed=0)


def test_the_command_writes_numbers_with_n_and_interval(
    rows: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "rows", rows)
    code = main(
        [
            "study",
            "analyse",
            "--rows",
            str(folder),
            "--out",
            str(tmp_path / "r.html"),
            "--json",
            str(tmp_path / "r.json"),
        ]
    )
    assert code == 0
    assert "hits_model" in capsys.readouterr().out
    test = json.loads((tmp_path / "r.json").read_text())["tests"][0]
    assert test["difference"]["n"] == 10
    assert test["difference"]["ci"][0] < test["difference"]["value"] < test["difference"]["ci"][1]
    assert (tmp_path / "r.html").exists()


def test_the_help_arm_is_the_only_one_with_reliance(rows: Any) -> None:
    none, model = summarise(make_study(*rows), seed=0).reliance
    assert none.decoys_used.value is None
    assert (model.decoys_used.value, model.real_used.value) == (0.0, 0.5)
    assert set(none.provenance) == {"own"}


def test_no_use_of_decoys_at_all_still_has_an_interval_of_some_width(rows: Any) -> None:
    _, model = summarise(make_study(*rows), seed=0).reliance
    assert (model.decoys_used.value, model.decoys_used.low) == (0.0, 0.0)
    # Wilson's bound for 0 of 10 labellers, z^2 / (10 + z^2) by hand, z = 1.959964
    assert model.decoys_used.n == 10
    assert model.decoys_used.high == pytest.approx(3.841459 / 13.841459, abs=1e-6)


def test_a_share_that_is_the_same_for_everyone_keeps_the_width_of_its_count(rows: Any) -> None:
    study = make_study(*rows)
    _, model = summarise(study, seed=0).reliance
    num_shown = sum(trial.num_real_shown for trial in study.trials)
    assert num_shown == 2 * sum(trial.arm == "model" for trial in study.trials)
    direct = estimate_proportion(num_shown // 2, num_shown)
    assert (model.real_used.low, model.real_used.high) == pytest.approx((direct.low, direct.high))


def test_shares_of_an_arm_lie_between_0_and_1_and_counts_above_0(rows: Any) -> None:
    for row in summarise(make_study(*rows), seed=0).arms:
        assert all((count.low or 0) >= 0 for count in (row.flaws, *row.by_severity.values()))
        for share in (row.hits, row.share_valid):
            assert share.value is None or 0 <= (share.low or 0) <= share.value <= (share.high or 1) <= 1


def test_agreement_needs_two_raters_and_says_how_many_items_have_them(rows: Any) -> None:
    raters, labellers = measure_agreement(make_study(*rows), seed=0)
    assert raters.num_items == sum(len(finding["checks"]) > 1 for finding in rows[2])
    assert raters.alpha.value is None, "both raters always said valid: chance agreement is total"
    assert labellers.num_items > 10


def test_an_id_that_comes_twice_is_refused_with_its_line(rows: Any, tmp_path: Path) -> None:
    folder = write(tmp_path / "rows", rows)
    path = folder / "assignments.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match=r"assignments\.jsonl line \d+: assignment 's0' is there twice"):
        read_study(folder)


def test_a_broken_line_is_refused_with_its_number(rows: Any, tmp_path: Path) -> None:
    folder = write(tmp_path / "rows", rows)
    path = folder / "findings.jsonl"
    path.write_text(path.read_text() + '{"finding": "half')
    with pytest.raises(DataError, match=r"findings\.jsonl line \d+ is broken"):
        read_study(folder)


def test_a_plan_that_was_changed_is_noticed(rows: Any, tmp_path: Path) -> None:
    written = json.loads(json.dumps(rows[0]))
    written["plan"]["alpha"] = 0.2
    with pytest.raises(DataError, match="does not match its digest"):
        read_study(write(tmp_path / "rows", (written, *rows[1:])))


def test_a_hit_is_a_miss_only_when_every_finding_was_judged(rows: Any) -> None:
    written, assignments, findings = json.loads(json.dumps(rows))
    target = next(row for row in assignments if row["kind"] == "misleading")
    findings = [row for row in findings if row["assignment"] != target["assignment"]]
    base = {"assignment": target["assignment"], "severity": 2, "provenance": "own", "is_span_hit": False}
    no = {"rater": "V1", "verdict": "valid", "severity": 1, "is_intended": False}

    def hit(*checks: list[Any]) -> bool | None:
        more = [{**base, "finding": f"x{n}", "checks": list(one)} for n, one in enumerate(checks)]
        trials = make_study(written, assignments, [*findings, *more]).trials
        return next(t.intended_hit for t in trials if t.assignment == target["assignment"])

    assert hit() is False
    assert hit([no]) is False
    assert hit([no], []) is None
    assert hit([{**no, "is_intended": True}], []) is True
    assert hit([no, {**no, "rater": "V2", "is_intended": True}]) is None, "a draw decides nothing"


def test_a_draw_decides_nothing() -> None:
    votes = ([True, True, False], [False], [True, False], [None], [])
    assert [decide(vote) for vote in votes] == [True, False, None, None, None]
