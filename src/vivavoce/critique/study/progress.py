"""How far a study is, for the administrator: counts, people, and the power of each hypothesis at the present size.

Outcomes are pooled over arms, so that looking at them tells nothing about an effect.
"""

from __future__ import annotations

import math
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vivavoce.critique.analysis.power import (
    measure_design_effect,
    plan_size,
    power_for_counts,
    power_for_proportions,
    size_for_counts,
    size_for_proportions,
)
from vivavoce.critique.store import utc_now
from vivavoce.critique.study.checks import count_waiting
from vivavoce.critique.study.plan import Hypothesis, StudyPlan
from vivavoce.critique.study.tables import Assignment, Finding, Item, Person, SignIn, Study
from vivavoce.stats import estimate_mean, estimate_proportion


class PowerRow(NamedTuple):
    """One hypothesis: answers per arm now, power under the plan's assumptions, the size for 80%, and the pooled outcome."""

    name: str
    per_arm: int
    power: float
    needed: int
    pooled: str


class PersonRow(NamedTuple):
    """One person on the administrator's page."""

    id: int
    key: str
    role: str
    has_consented: bool
    submitted: int
    minutes: str
    last_seen: str
    state: str
    open_id: int | None


class Progress(NamedTuple):
    """Everything that the administrator's page shows."""

    submitted: int
    cells: int
    open: int
    returned: int
    findings: int
    checks_given: int
    checks_wanted: int
    by_kind: dict[str, list[str]]
    power: list[PowerRow]
    people: list[PersonRow]


def measure_progress(session: Session, study: Study, plan: StudyPlan) -> Progress:
    """Counts and power of a study, now."""
    states = dict(
        session.execute(
            select(Assignment.state, func.count()).where(Assignment.study_id == study.id).group_by(Assignment.state)
        ).all()
    )
    num_items = dict(
        session.execute(select(Item.kind, func.count()).where(Item.study_id == study.id).group_by(Item.kind)).all()
    )
    done = _count_done(session, study)
    given, wanted = count_waiting(session, study.id)
    planned = {kind: num_items.get(kind, 0) * plan.ratings_per_cell for kind in plan.kinds}
    in_study = select(func.count(Finding.id)).join(Assignment).where(Assignment.study_id == study.id)
    return Progress(
        submitted=states.get("submitted", 0),
        cells=sum(planned.values()) * len(plan.arms),
        open=states.get("open", 0),
        returned=states.get("declined", 0) + states.get("released", 0),
        findings=session.scalar(in_study) or 0,
        checks_given=given,
        checks_wanted=wanted,
        by_kind={
            kind: [f"{done.get((kind, arm.name), 0)} of {planned[kind]}" for arm in plan.arms] for kind in plan.kinds
        },
        power=[_measure_power(session, study, plan, test, done) for test in plan.hypotheses],
        people=_list_people(session, study),
    )


def _count_done(session: Session, study: Study) -> dict[tuple[str, str], int]:
    rows = session.execute(
        select(Item.kind, Assignment.arm, func.count())
        .join(Item, Assignment.item_id == Item.id)
        .where(Assignment.study_id == study.id, Assignment.state == "submitted")
        .group_by(Item.kind, Assignment.arm)
    ).all()
    return {(kind, arm): count for kind, arm, count in rows}


def _measure_power(
    session: Session, study: Study, plan: StudyPlan, test: Hypothesis, done: dict[tuple[str, str], int]
) -> PowerRow:
    per_arm = min(sum(done.get((kind, arm), 0) for kind in test.kinds) for arm in (test.arm, test.against))
    guess, alpha = plan.expected, plan.alpha
    share = sum(plan.kinds[kind] for kind in test.kinds) / sum(plan.kinds.values())
    weights = {arm.name: arm.weight for arm in plan.arms}
    in_pair = (weights[test.arm] + weights[test.against]) / sum(weights.values())
    per_labeller = max(1.0, plan.items_per_labeller * share * in_pair)
    effective = per_arm / measure_design_effect(per_labeller, guess.icc)
    if test.outcome == "intended_hit":
        pair = (guess.hit_control, guess.hit_assisted)
        power = power_for_proportions(*pair, effective, alpha=alpha)
        needed = size_for_proportions(*pair, alpha=alpha)
    else:
        pair = (guess.flaws_control, guess.flaws_assisted)
        power = power_for_counts(*pair, effective, dispersion=guess.dispersion, alpha=alpha)
        needed = size_for_counts(*pair, dispersion=guess.dispersion, alpha=alpha)
    size = plan_size(needed, per_labeller=per_labeller, icc=guess.icc)
    return PowerRow(test.name, per_arm, power, size.clustered, _pool(session, study, test))


def _pool(session: Session, study: Study, test: Hypothesis) -> str:
    """The outcome over all arms, while the study is blind."""
    rows = session.execute(
        select(Assignment.id, func.count(Finding.id), func.max(_as_number(Finding.is_span_hit)))
        .join(Item, Assignment.item_id == Item.id)
        .outerjoin(Finding, Finding.assignment_id == Assignment.id)
        .where(Assignment.study_id == study.id, Assignment.state == "submitted", Item.kind.in_(test.kinds))
        .group_by(Assignment.id)
    ).all()
    if test.outcome == "intended_hit":
        hits = estimate_proportion(sum(bool(hit) for _, _, hit in rows), len(rows))
        return f"marked the place: {hits}"
    return f"flaws per answer: {estimate_mean([count for _, count, _ in rows])}"


def _as_number(column: Any) -> Any:
    from sqlalchemy import case

    return case((column.is_(True), 1), else_=0)


def _list_people(session: Session, study: Study) -> list[PersonRow]:
    seen = dict(session.execute(select(SignIn.person_id, func.max(SignIn.seen_at)).group_by(SignIn.person_id)).all())
    seconds: dict[int, list[float]] = {}
    opened: dict[int, int] = {}
    rows = session.execute(
        select(Assignment.person_id, Assignment.id, Assignment.state, Assignment.active_s).where(
            Assignment.study_id == study.id
        )
    ).all()
    for person_id, assignment_id, state, active_s in rows:
        if state == "submitted":
            seconds.setdefault(person_id, []).append(active_s or 0.0)
        elif state == "open":
            opened[person_id] = assignment_id
    people = session.scalars(select(Person).where(Person.study_id == study.id).order_by(Person.id))
    return [
        _describe(person, seconds.get(person.id, []), seen.get(person.id), opened.get(person.id)) for person in people
    ]


def _describe(person: Person, seconds: list[float], last_seen: Any, open_id: int | None) -> PersonRow:
    minutes = f"{median(seconds) / 60:.1f}" if seconds else "–"
    state = "withdrawn" if person.withdrawn_at is not None else "working" if open_id is not None else "–"
    if last_seen is not None and open_id is not None and (utc_now() - last_seen).total_seconds() > 3600:
        state = f"away for {math.floor((utc_now() - last_seen).total_seconds() / 3600)} h"
    return PersonRow(
        person.id,
        person.key,
        person.role,
        person.consented_at is not None,
        len(seconds),
        minutes,
        last_seen.strftime("%d %b %H:%M") if last_seen is not None else "–",
        state,
        open_id,
    )
