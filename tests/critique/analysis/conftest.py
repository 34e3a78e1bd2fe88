"""A study's exported rows, made from a simulated one."""

from __future__ import annotations

from typing import Any

import pytest

from vivavoce.critique.analysis.simulate import Truth, simulate_study
from vivavoce.critique.study.plan import TEMPLATE, digest_plan, load_plan, plan_from_json, plan_to_json


def make_written(**changes: Any) -> dict[str, Any]:
    """A plan with two arms, as `plan.json` holds it."""
    values = plan_to_json(load_plan(TEMPLATE))
    values["arms"] = [arm for arm in values["arms"] if arm["name"] in ("none", "model")]
    values["hypotheses"] = [test for test in values["hypotheses"] if test["arm"] == "model"]
    plan = plan_from_json({**values, **changes})
    return {"plan": plan_to_json(plan), "plan_digest": digest_plan(plan)}


def make_rows(truth: Truth, *, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Assignments and findings with every finding judged: the first of a hit is the intended flaw."""
    assignments, findings = [], []
    for trial in simulate_study(truth, seed=seed):
        is_helped = trial.arm == "model"
        shown = [
            {
                "critique": f"c{n}",
                "place": n,
                "is_decoy": n == 0,
                "is_text_shown": True,
                "verdict": "used" if n == 1 else None,
            }
            for n in range(3 if is_helped else 0)
        ]
        num_flaws = max(trial.num_flaws, int(bool(trial.intended_hit)))
        assignments.append(
            {
                "assignment": trial.assignment,
                "labeller": trial.labeller,
                "answer": trial.answer,
                "passage": trial.passage,
                "kind": trial.kind,
                "arm": trial.arm,
                "block": trial.block,
                "state": "submitted",
                "active_s": trial.active_s,
                "rating": 3 + num_flaws % 2,
                "has_recorded_flaw": trial.kind == "misleading",
                "shown": shown,
            }
        )
        for number in range(num_flaws):
            is_intended = bool(trial.intended_hit) and number == 0 if trial.kind == "misleading" else None
            verdict = "valid" if number < 2 else "invalid"
            checks = [{"rater": "V1", "verdict": verdict, "severity": 2, "is_intended": is_intended}]
            if number == 1:
                checks.append({**checks[0], "rater": "V2"})
            findings.append(
                {
                    "finding": f"{trial.assignment}/{number}",
                    "assignment": trial.assignment,
                    "severity": 1 + number % 4,
                    "provenance": "adopted" if is_helped and number == 0 else "own",
                    "is_span_hit": is_intended,
                    "checks": checks,
                }
            )
    return assignments, findings


@pytest.fixture(scope="session")
def rows() -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """(plan.json, assignments, findings) of one simulated study."""
    return make_written(), *make_rows(Truth(num_labellers=10, num_passages=30, items_per_labeller=18), seed=3)


@pytest.fixture(scope="session")
def retitled() -> dict[str, Any]:
    """A plan.json whose title is markup."""
    return make_written(title="<script>alert(1)</script>")
