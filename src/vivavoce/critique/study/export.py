"""What leaves the study: assignments, findings, and the OpenAI release's format. One row per thing, never two.

Rows are made from the assignment and finding tables, whose keys are unique, and never from joins that multiply. People
who withdrew are left out of every file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from vivavoce.critique.store import Rating, Refinement
from vivavoce.critique.study.accounts import actor_of
from vivavoce.critique.study.plan import plan_from_json
from vivavoce.critique.study.tables import Assignment, Check, Finding, Person, Shown, Study


def to_jsonl(rows: Iterable[dict[str, Any]]) -> bytes:
    """One JSON object a line."""
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode()


def list_assignments(session: Session, study: Study) -> list[dict[str, Any]]:
    """Every assignment, in any state, with what was shown. Format: docs/formats.md."""
    plan = plan_from_json(study.plan)
    block = sum(arm.weight for arm in plan.arms)
    shown, ratings, counts = _read_shown(session, study), _read_ratings(session), _count_findings(session, study)
    return [
        {
            "assignment": row.public_id,
            "labeller": row.person.key,
            "answer": row.item.answer.key,
            "passage": row.item.passage_key,
            "kind": row.item.kind,
            "arm": row.arm,
            "position": row.position,
            "block": row.kind_idx // block,
            "state": row.state,
            "reason": row.reason,
            "opened_at": row.opened_at.isoformat(),
            "closed_at": row.closed_at.isoformat() if row.closed_at else None,
            "active_s": row.active_s,
            "idle_s": row.idle_s,
            "rating": ratings.get((row.public_id, study.name)),
            "num_flaws": counts.get(row.id, 0) if row.state == "submitted" else None,
            "has_recorded_flaw": bool(row.item.answer.planted_flaws),
            "shown": shown.get(row.id, []),
            "plan_digest": study.plan_digest,
        }
        for row in _assignments(session, study)
    ]


def list_findings(session: Session, study: Study) -> list[dict[str, Any]]:
    """Every flaw that was handed in, with its second raters' verdicts. Format: docs/formats.md."""
    checks: dict[int, list[dict[str, Any]]] = {}
    for check in session.scalars(select(Check).where(Check.verdict.is_not(None)).order_by(Check.id)):
        verdict = {
            "rater": check.person.key,
            "verdict": check.verdict,
            "severity": check.severity,
            "is_intended": check.is_intended,
        }
        checks.setdefault(check.finding_id, []).append(verdict)
    return [
        {
            "finding": f"{row.assignment.public_id}/{row.uid}",
            "assignment": row.assignment.public_id,
            "critique": row.critique.key,
            "text": row.critique.text,
            "category": row.critique.category,
            "severity": row.critique.severity,
            "passage_spans": row.critique.passage_spans,
            "answer_spans": row.critique.answer_spans,
            "provenance": row.provenance,
            "from_critique": row.shown.critique.key if row.shown is not None else None,
            "is_from_decoy": row.shown.is_decoy if row.shown is not None else False,
            "similarity": row.similarity,
            "is_span_hit": row.is_span_hit,
            "num_raters": row.num_raters,
            "checks": checks.get(row.id, []),
        }
        for row in _findings(session, study)
    ]


def list_release_critiques(session: Session, study: Study) -> list[dict[str, Any]]:
    """The release's `critiques` records: one per assignment that was handed in about a text."""
    refinements = {row.critique_id: row.text for row in session.scalars(select(Refinement))}
    by_assignment: dict[int, list[Finding]] = {}
    for finding in _findings(session, study):
        by_assignment.setdefault(finding.assignment_id, []).append(finding)
    ratings = _read_ratings(session)
    records = []
    for row in _submitted_texts(session, study):
        critiques = [_release_critique(one, refinements) for one in by_assignment.get(row.id, [])]
        feedback = {"rating": ratings.get((row.public_id, study.name)), "critiques": critiques}
        answers = [{"answer": row.item.answer.text, "feedback": feedback}]
        records.append(_envelope(row, {"answers": answers, "rankings": [0]}))
    return records


def list_release_helpfulness(session: Session, study: Study) -> list[dict[str, Any]]:
    """The release's `helpfulness` records: one per assignment where a suggestion was used or rejected."""
    by_assignment: dict[int, list[Finding]] = {}
    for finding in _findings(session, study):
        by_assignment.setdefault(finding.assignment_id, []).append(finding)
    records = []
    for row in _submitted_texts(session, study):
        judged = [
            one
            for one in session.scalars(select(Shown).where(Shown.assignment_id == row.id).order_by(Shown.place))
            if one.is_text_shown and one.verdict is not None
        ]
        if not judged:
            continue
        critiques = [{"critique": one.critique.text, "feedback": {"helpful": one.verdict == "used"}} for one in judged]
        found = by_assignment.get(row.id, [])
        has_helpful = any(one.verdict == "used" for one in judged)
        own = next((one for one in found if one.provenance == "own"), None)
        question = {
            "answers": [{"answer": row.item.answer.text, "critiques": critiques}],
            "rankings": [None] * len(critiques),
            "is_critiqueable": None if has_helpful else bool(found),
            "has_better_critique": None,
            "new_critique": _new_critique(own) if own is not None and not has_helpful else None,
        }
        records.append(_envelope(row, question))
    return records


EXPORTS: dict[str, Callable[[Session, Study], list[dict[str, Any]]]] = {
    "assignments": list_assignments,
    "findings": list_findings,
    "critiques": list_release_critiques,
    "helpfulness": list_release_helpfulness,
}


def _assignments(session: Session, study: Study) -> list[Assignment]:
    query = (
        select(Assignment)
        .join(Person, Assignment.person_id == Person.id)
        .where(Assignment.study_id == study.id, Person.withdrawn_at.is_(None))
    )
    return list(session.scalars(query.order_by(Assignment.id)))


def _findings(session: Session, study: Study) -> list[Finding]:
    query = (
        select(Finding)
        .join(Assignment, Finding.assignment_id == Assignment.id)
        .join(Person, Assignment.person_id == Person.id)
        .where(Assignment.study_id == study.id, Person.withdrawn_at.is_(None))
    )
    return list(session.scalars(query.order_by(Finding.id)))


def _submitted_texts(session: Session, study: Study) -> list[Assignment]:
    return [
        row
        for row in _assignments(session, study)
        if row.state == "submitted" and row.item.answer.modality == row.item.answer.question.passage.modality == "text"
    ]


def _read_shown(session: Session, study: Study) -> dict[int, list[dict[str, Any]]]:
    query = (
        select(Shown).join(Assignment).where(Assignment.study_id == study.id).order_by(Shown.assignment_id, Shown.place)
    )
    rows: dict[int, list[dict[str, Any]]] = {}
    for row in session.scalars(query):
        seen = {
            "critique": row.critique.key,
            "place": row.place,
            "is_decoy": row.is_decoy,
            "is_text_shown": row.is_text_shown,
            "verdict": row.verdict,
        }
        rows.setdefault(row.assignment_id, []).append(seen)
    return rows


def _read_ratings(session: Session) -> dict[tuple[str, str], int]:
    """Quality ratings by (assignment, study)."""
    rows = session.scalars(select(Rating).where(Rating.scale == "quality_1_7", Rating.key.like("study/%/quality")))
    return {(row.key.split("/")[-2], row.key.split("/")[1]): int(row.value) for row in rows}


def _count_findings(session: Session, study: Study) -> dict[int, int]:
    counts: dict[int, int] = {}
    for finding in _findings(session, study):
        counts[finding.assignment_id] = counts.get(finding.assignment_id, 0) + 1
    return counts


def _envelope(row: Assignment, question: dict[str, Any]) -> dict[str, Any]:
    asked = row.item.answer.question
    passage = asked.passage
    return {
        "id": row.public_id,
        "source_id": row.item.answer.key,
        "split": passage.split,
        "time": row.closed_at.timestamp() if row.closed_at is not None else None,
        "labeler": actor_of(row.person),
        "is_topic_based_summarization": asked.is_topic_based,
        "data": {
            "passage": {"text": passage.text, "title": passage.title},
            "questions": [{"question": asked.text, **question}],
        },
    }


def _release_critique(finding: Finding, refinements: dict[int | None, str]) -> dict[str, Any]:
    critique = finding.critique
    return {
        "text": critique.text,
        "category": critique.category,
        "severity": critique.severity,
        "text_quotes": [{"begin": span["begin"], "end": span["end"]} for span in critique.passage_spans],
        "response_quotes": [{"begin": span["begin"], "end": span["end"]} for span in critique.answer_spans],
        "refinement": refinements.get(critique.id, ""),
    }


def _new_critique(finding: Finding) -> dict[str, Any]:
    critique = finding.critique
    return {
        "text": critique.text,
        "category": critique.category,
        "category_text": critique.category_text,
        "severity": critique.severity,
    }
