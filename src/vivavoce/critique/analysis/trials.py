"""The rows of an analysis: one trial per answer that a labeller handed in, read from a study's exported files.

An outcome that is not known yet (a flaw that no second rater has judged) is None, and is counted, not scored 0.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vivavoce.critique.study.plan import StudyPlan, digest_plan, plan_from_json
from vivavoce.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One labeller, one answer, one arm, and what came of it."""

    assignment: str
    labeller: str
    answer: str
    passage: str
    kind: str
    arm: str
    block: int = 0
    active_s: float | None = None
    rating: int | None = None
    by_severity: Mapping[int, int] = field(default_factory=dict)
    num_flaws: int = 0
    num_valid: int | None = None
    """Flaws that second raters found valid; None while one of them is undecided."""
    num_decided: int = 0
    num_decided_valid: int = 0
    intended_hit: bool | None = None
    provenance: Mapping[str, int] = field(default_factory=dict)
    num_real_shown: int = 0
    num_real_used: int = 0
    num_decoys_shown: int = 0
    num_decoys_used: int = 0

    def outcome(self, name: str) -> float | None:
        """The value of an outcome that a plan may name; None if it is not known or does not apply."""
        match name:
            case "intended_hit":
                return None if self.intended_hit is None else float(self.intended_hit)
            case "num_flaws":
                return float(self.num_flaws)
            case "num_serious":
                return float(sum(count for level, count in self.by_severity.items() if level >= 3))
            case "num_valid":
                return None if self.num_valid is None else float(self.num_valid)
            case "active_s":
                return self.active_s if self.active_s else None
            case "share_valid":
                return self.num_decided_valid / self.num_decided if self.num_decided else None
            case other:
                raise DataError(f"outcome {other!r} is not known")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyData:
    """A plan, its trials, and what was not analysed."""

    plan: StudyPlan
    plan_digest: str
    trials: tuple[Trial, ...]
    not_handed_in: Mapping[str, int]
    """Assignments by state, other than submitted."""
    checks: tuple[Mapping[str, str], ...] = ()
    """Per finding that was rated: `{rater: verdict}`."""
    check_passages: tuple[str, ...] = ()
    """The passage of each of `checks`."""


def read_study(folder: Path | str) -> StudyData:
    """A study from the directory that `viva study export` writes.

    Raises: DataError for a missing file, a broken line, an id that comes twice, or a plan that was changed.
    """
    folder = Path(folder)
    try:
        written = json.loads((folder / "plan.json").read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {folder / 'plan.json'}: {error}; run `viva study export` first") from error
    assignments = read_rows(folder / "assignments.jsonl", "assignment")
    findings = read_rows(folder / "findings.jsonl", "finding")
    return make_study(written, assignments, findings)


def make_study(
    written: Mapping[str, Any], assignments: Sequence[Mapping[str, Any]], findings: Sequence[Mapping[str, Any]]
) -> StudyData:
    """A study from exported rows.

    Raises: DataError if the plan does not match its digest, or a finding has no assignment.
    """
    plan = plan_from_json(written["plan"])
    if digest_plan(plan) != written["plan_digest"]:
        raise DataError("the plan does not match its digest: it was changed after the study began; export it again")
    by_assignment: dict[str, list[Mapping[str, Any]]] = {}
    for finding in findings:
        by_assignment.setdefault(finding["assignment"], []).append(finding)
    submitted = [row for row in assignments if row["state"] == "submitted"]
    orphans = sorted(by_assignment.keys() - {row["assignment"] for row in submitted})
    if orphans:
        raise DataError(f"findings name assignments that were not handed in: {orphans[:3]}; export both files together")
    passage_of = {row["assignment"]: row["passage"] for row in submitted}
    rated = [finding for finding in findings if finding["checks"]]
    return StudyData(
        plan=plan,
        plan_digest=written["plan_digest"],
        trials=tuple(_make_trial(plan, row, by_assignment.get(row["assignment"], [])) for row in submitted),
        not_handed_in=dict(Counter(row["state"] for row in assignments if row["state"] != "submitted")),
        checks=tuple({check["rater"]: check["verdict"] for check in finding["checks"]} for finding in rated),
        check_passages=tuple(passage_of[finding["assignment"]] for finding in rated),
    )


def read_rows(path: Path, key: str) -> list[dict[str, Any]]:
    """Rows of a JSON Lines file whose `key` names each once.

    Raises: DataError naming the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; run `viva study export` first") from error
    rows: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            name = row[key]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} line {number} is broken ({error!r}); export the study again") from error
        if name in rows:
            raise DataError(f"{path} line {number}: {key} {name!r} is there twice; export the study again")
        rows[name] = row
    return list(rows.values())


def decide(verdicts: Iterable[bool | None]) -> bool | None:
    """The majority of those who decided; None for a draw or if nobody did."""
    votes = Counter(verdict for verdict in verdicts if verdict is not None)
    return None if votes[True] == votes[False] else votes[True] > votes[False]


def _make_trial(plan: StudyPlan, row: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> Trial:
    words = {"valid": True, "invalid": False}
    validity = [decide(words.get(check["verdict"]) for check in finding["checks"]) for finding in findings]
    decided = [verdict for verdict in validity if verdict is not None]
    shown = [one for one in row["shown"] if one["is_text_shown"]]
    decoys, real = [one for one in shown if one["is_decoy"]], [one for one in shown if not one["is_decoy"]]
    return Trial(
        assignment=row["assignment"],
        labeller=row["labeller"],
        answer=row["answer"],
        passage=row["passage"],
        kind=row["kind"],
        arm=row["arm"],
        block=row["block"],
        active_s=row["active_s"],
        rating=row["rating"],
        by_severity=dict(Counter(finding["severity"] for finding in findings)),
        num_flaws=len(findings),
        num_valid=sum(decided) if len(decided) == len(validity) else None,
        num_decided=len(decided),
        num_decided_valid=sum(decided),
        intended_hit=_is_hit(plan, findings) if row["has_recorded_flaw"] else None,
        provenance=dict(Counter(finding["provenance"] for finding in findings)),
        num_real_shown=len(real),
        num_real_used=sum(one["verdict"] == "used" for one in real),
        num_decoys_shown=len(decoys),
        num_decoys_used=sum(one["verdict"] == "used" for one in decoys),
    )


def _is_hit(plan: StudyPlan, findings: Sequence[Mapping[str, Any]]) -> bool | None:
    """A hit as soon as one finding is one; a miss only when every finding is known not to be."""
    if plan.hit_rule == "span":
        hits = [finding["is_span_hit"] for finding in findings]
    else:
        hits = [decide(check["is_intended"] for check in finding["checks"]) for finding in findings]
    if True in hits:
        return True
    return None if None in hits else False
