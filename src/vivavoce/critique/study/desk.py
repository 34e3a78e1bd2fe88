"""A labeller's desk: take the next answer, save, hand in, give back. Each function is one step of one transaction.

What may happen only once is held by constraints of the database (see `tables`), and rows that change are locked
first, so that two tabs, a double click and two servers give the same result as one.
"""

from __future__ import annotations

import difflib
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from vivavoce.critique.spans import has_overlap, spans_from_json
from vivavoce.critique.store import Answer, Critique, Event, Question, Rating, Refinement, add, record_event, utc_now
from vivavoce.critique.store.versions import extent_of
from vivavoce.critique.study import refusals
from vivavoce.critique.study.accounts import Signed
from vivavoce.critique.study.draft import Body, FlawDraft, Problem, body_to_json, find_problems, merge, parse_body
from vivavoce.critique.study.plan import StudyPlan
from vivavoce.critique.study.randomise import Candidate, Slot, choose_slot, draw_share, shuffle_shown
from vivavoce.critique.study.tables import Assignment, Draft, Finding, Item, Material, Person, Shown
from vivavoce.critique.study.timing import measure_work

# chosen: labellers collide on one cell only at the very same moment; each collision leaves one slot fewer
_MAX_TRIES = 25
_MERGED = "Flaws from another tab were added to your list. Look through it, and hand in again."
_ALIVE = ("study.opened", "study.beat", "study.saved", "study.submitted")


class Saved(NamedTuple):
    """The version that holds the draft now; `body` if it differs from what was sent, because two drafts were merged."""

    version: int
    body: dict[str, Any] | None


class Submitted(NamedTuple):
    """What handing in did: problems to put right, or nothing more to do. `is_repeat` if it was handed in before."""

    problems: list[Problem]
    is_repeat: bool = False
    saved: Saved | None = None


def claim(session: Session, signed: Signed) -> Assignment | None:
    """The open assignment of this labeller, or the next one; None when they are done.

    Raises: Refusal if the study is closed or the person is no labeller.
    """
    person = session.get_one(Person, signed.person.id, with_for_update=True)
    if person.role != "labeller":
        raise refusals.not_found("answer")
    is_mine = Assignment.person_id == person.id
    already = session.scalar(select(Assignment).where(is_mine, Assignment.is_open.is_(True)))
    if already is not None:
        return already
    if person.study.closed_at is not None:
        raise refusals.study_closed()
    mine = list(session.scalars(select(Assignment).where(is_mine)))
    if sum(row.state == "submitted" for row in mine) >= signed.plan.items_per_labeller:
        return None
    for _ in range(_MAX_TRIES):
        slot = _choose(session, signed.plan, person, mine)
        if slot is None:
            return None
        assignment = _try_insert(session, signed.plan, person, slot, position=len(mine))
        if assignment is not None:
            record_event(session, signed.actor, "study.assigned", subject=assignment, payload={"arm": slot.arm})
            return assignment
    raise refusals.Refusal("busy", "Many people are asking for an answer at once. Please try again in a moment.", 503)


def _choose(session: Session, plan: StudyPlan, person: Person, mine: list[Assignment]) -> Slot | None:
    items = session.execute(
        select(Item.id, Item.kind, Item.passage_key).where(Item.study_id == person.study_id).order_by(Item.id)
    ).all()
    seen = {row.item_id for row in mine}
    kind_of = {item_id: kind for item_id, kind, _ in items}
    num_drawn: dict[str, int] = {}
    for row in mine:
        kind = kind_of[row.item_id]
        num_drawn[kind] = max(num_drawn.get(kind, 0), row.kind_idx + 1)
    given = session.execute(
        select(Assignment.item_id, Assignment.arm, func.count())
        .where(Assignment.study_id == person.study_id, Assignment.slot.is_not(None))
        .group_by(Assignment.item_id, Assignment.arm)
    ).all()
    passages = {passage for item_id, _, passage in items if item_id in seen} if plan.is_passage_seen_once else set()
    return choose_slot(
        [Candidate(*row) for row in items],
        seed=plan.seed,
        labeller=person.key,
        position=len(mine),
        kinds=plan.kinds,
        arms={arm.name: arm.weight for arm in plan.arms},
        num_drawn=num_drawn,
        seen_items=seen,
        seen_passages=passages,
        num_given={(item_id, arm): count for item_id, arm, count in given},
        quota=plan.ratings_per_cell,
    )


def _try_insert(session: Session, plan: StudyPlan, person: Person, slot: Slot, *, position: int) -> Assignment | None:
    """The new assignment with what it shows, or None if someone else took the place meanwhile."""
    item_id = slot.candidate.item
    in_cell = (Assignment.item_id == item_id, Assignment.arm == slot.arm, Assignment.slot.is_not(None))
    taken = set(session.scalars(select(Assignment.slot).where(*in_cell)))
    free = next((place for place in range(plan.ratings_per_cell) if place not in taken), None)
    if free is None:
        return None
    assignment = Assignment(
        public_id=secrets.token_hex(12),
        study_id=person.study_id,
        person_id=person.id,
        item_id=item_id,
        arm=slot.arm,
        position=position,
        kind_idx=slot.kind_idx,
        slot=free,
    )
    try:
        with session.begin_nested():
            session.add(assignment)
            session.flush()
    except IntegrityError:
        return None
    _show_materials(session, plan, person, assignment)
    return assignment


def _show_materials(session: Session, plan: StudyPlan, person: Person, assignment: Assignment) -> None:
    is_ours = (Material.item_id == assignment.item_id, Material.arm == assignment.arm)
    materials = {row.id: row for row in session.scalars(select(Material).where(*is_ours).order_by(Material.rank))}
    order = shuffle_shown(list(materials), seed=plan.seed, assignment=f"{person.key}/{assignment.item_id}")
    is_text_shown = plan.arm(assignment.arm).assistance == "critiques"
    for place, material_id in enumerate(order):
        material = materials[int(str(material_id))]
        session.add(
            Shown(
                assignment_id=assignment.id,
                place=place,
                critique_id=material.critique_id,
                is_decoy=material.is_decoy,
                is_text_shown=is_text_shown,
            )
        )
    session.flush()


def find_assignment(session: Session, signed: Signed, public_id: str, *, is_locked: bool = False) -> Assignment:
    """This person's assignment; someone else's is as absent as one that never was.

    Raises: Refusal `not_found`.
    """
    query = select(Assignment).where(Assignment.public_id == public_id, Assignment.person_id == signed.person.id)
    answer_too = joinedload(Assignment.item, innerjoin=True).joinedload(Item.answer, innerjoin=True)
    query = query.options(
        answer_too.joinedload(Answer.question, innerjoin=True).joinedload(Question.passage, innerjoin=True)
    )
    assignment = session.scalar(query.with_for_update(of=Assignment) if is_locked else query)
    if assignment is None:
        raise refusals.not_found("answer")
    return assignment


def open_assignment(session: Session, signed: Signed, public_id: str) -> tuple[Assignment, Draft | None]:
    """The assignment with a fresh lock for the page that is about to be shown, and the newest draft.

    The newest page holds the lock; an older tab is told at its next save. A finished assignment gets no lock.
    """
    assignment = find_assignment(session, signed, public_id, is_locked=True)
    if assignment.state == "open":
        assignment.lock = secrets.token_hex(16)
        places = session.scalars(
            select(Shown.critique_id).where(Shown.assignment_id == assignment.id).order_by(Shown.place)
        )
        payload = {"shown_critiques": list(places), "answer": assignment.item.answer_id}
        record_event(session, signed.actor, "study.opened", subject=assignment, payload=payload)
    return assignment, newest_draft(session, assignment)


def newest_draft(session: Session, assignment: Assignment) -> Draft | None:
    """The last saved draft; None before the first."""
    query = select(Draft).where(Draft.assignment_id == assignment.id).order_by(Draft.version.desc()).limit(1)
    return session.scalar(query)


def list_shown(session: Session, assignment: Assignment) -> list[Shown]:
    """What the labeller sees, in their order."""
    query = select(Shown).where(Shown.assignment_id == assignment.id).order_by(Shown.place)
    return list(session.scalars(query.options(joinedload(Shown.critique, innerjoin=True))))


def beat(session: Session, signed: Signed, public_id: str, lock: str) -> None:
    """The labeller is at work on this page.

    Raises: Refusal `other_tab` or `finished`.
    """
    assignment = find_assignment(session, signed, public_id)
    _need_open(assignment)
    if assignment.lock != lock:
        raise refusals.other_tab()
    record_event(session, signed.actor, "study.beat", subject=assignment)


def save(
    session: Session, signed: Signed, public_id: str, *, lock: str, base_version: int, body: Body
) -> tuple[Saved, bool]:
    """Keep a draft; and whether the page still holds the lock.

    A draft that builds on an older version, or comes from a tab without the lock, is merged and never dropped.
    """
    assignment = find_assignment(session, signed, public_id, is_locked=True)
    _need_open(assignment)
    newest = newest_draft(session, assignment)
    version = newest.version if newest is not None else 0
    has_lock = assignment.lock == lock
    kept = body
    if newest is not None and (base_version != version or not has_lock):
        kept = merge(parse_body(newest.body), body)
    stored = dict(body_to_json(kept))
    if newest is None or newest.body != stored:
        version += 1
        session.add(Draft(assignment_id=assignment.id, version=version, body=stored))
        if has_lock:
            record_event(session, signed.actor, "study.saved", subject=assignment, payload={"version": version})
    return Saved(version, stored if kept != body else None), has_lock


def submit(session: Session, signed: Signed, public_id: str, *, lock: str, base_version: int, body: Body) -> Submitted:
    """Hand in: findings, ratings and verdicts go into the store, once.

    A repeat (double click, back button, a request sent twice) finds the work done and changes nothing. With problems
    the draft is saved and nothing is handed in.

    Raises: Refusal `other_tab` if the page does not hold the lock; its draft is merged first (by the caller's `save`).
    """
    assignment = find_assignment(session, signed, public_id, is_locked=True)
    if assignment.state == "submitted":
        return Submitted([], is_repeat=True)
    saved, has_lock = save(session, signed, public_id, lock=lock, base_version=base_version, body=body)
    if not has_lock:
        return Submitted([Problem("", refusals.other_tab().message)], saved=saved)
    if saved.body is not None:
        return Submitted([Problem("", _MERGED)], saved=saved)
    shown = list_shown(session, assignment)
    answer = assignment.item.answer
    problems = find_problems(
        body, signed.plan, passage=extent_of(answer.question.passage), answer=extent_of(answer), num_shown=len(shown)
    )
    if problems:
        return Submitted(problems, saved=saved)
    record_event(session, signed.actor, "study.submitted", subject=assignment, payload={"num_flaws": len(body.flaws)})
    for flaw in body.flaws:
        _store_finding(session, signed, assignment, shown, flaw)
    _store_judgements(session, signed, assignment, shown, body)
    session.flush()
    _close(session, signed, assignment, "submitted")
    return Submitted([])


def decline(session: Session, signed: Signed, public_id: str, reason: str) -> None:
    """Give an answer back; its place is free for someone else, and the draft stays in the database.

    Raises: Refusal if it is finished already, or no reason is given.
    """
    assignment = find_assignment(session, signed, public_id, is_locked=True)
    _need_open(assignment)
    if not reason.strip():
        raise refusals.Refusal("no_reason", "Say in a few words why you give this answer back.", 422)
    assignment.reason = reason.strip()[:500]
    assignment.slot = None
    _close(session, signed, assignment, "declined")
    record_event(session, signed.actor, "study.declined", subject=assignment, payload={"reason": assignment.reason})


def release(session: Session, assignment: Assignment, *, by: str) -> None:
    """An administrator frees an abandoned assignment; the draft stays.

    Raises: Refusal if it is finished already.
    """
    _need_open(assignment)
    assignment.slot = None
    assignment.state, assignment.is_open, assignment.closed_at, assignment.lock = "released", None, utc_now(), None
    record_event(session, by, "study.released", subject=assignment)


def _need_open(assignment: Assignment) -> None:
    if assignment.state != "open":
        raise refusals.finished()


def _close(session: Session, signed: Signed, assignment: Assignment, state: str) -> None:
    session.flush()
    moments = session.scalars(
        select(Event.at).where(
            Event.actor == signed.actor,
            Event.subject_table == Assignment.__tablename__,
            Event.subject_id == assignment.id,
            Event.kind.in_(_ALIVE),
        )
    )
    work = measure_work(moments, idle_after_s=signed.plan.idle_after_s)
    assignment.active_s, assignment.idle_s = work.active_s, work.idle_s
    assignment.state, assignment.is_open, assignment.closed_at, assignment.lock = state, None, utc_now(), None


def _store_finding(
    session: Session, signed: Signed, assignment: Assignment, shown: list[Shown], flaw: FlawDraft
) -> None:
    answer = assignment.item.answer
    source = shown[flaw.shown] if flaw.shown is not None else None
    provenance, similarity = trace_provenance(flaw, source)
    prefix = f"study/{assignment.person.study.name}/{assignment.public_id}"
    critique = add(
        session,
        Critique(
            key=f"{prefix}/{flaw.uid}",
            created_by=signed.actor,
            answer_id=answer.id,
            author_kind="person",
            author=signed.actor,
            text=flaw.text.strip(),
            category=flaw.category,
            category_text=flaw.category_text.strip() or None,
            severity=flaw.severity,
            passage_spans=flaw.passage_spans,
            answer_spans=flaw.answer_spans,
            details={"study": assignment.person.study.name},
        ),
    )
    num_raters = signed.plan.validation.raters
    num_raters += draw_share(signed.plan.seed, prefix, flaw.uid, share=signed.plan.validation.double_share)
    session.add(
        Finding(
            assignment_id=assignment.id,
            uid=flaw.uid,
            critique_id=critique.id,
            provenance=provenance,
            shown_id=source.id if source is not None else None,
            similarity=similarity,
            is_span_hit=_hits_recorded(flaw, answer.planted_flaws),
            num_raters=num_raters,
        )
    )
    if flaw.refinement.strip():
        add(
            session,
            Refinement(
                key=f"{prefix}/{flaw.uid}",
                created_by=signed.actor,
                answer_id=answer.id,
                critique_id=critique.id,
                mode="conditional",
                author_kind="person",
                author=signed.actor,
                text=flaw.refinement.strip(),
            ),
        )


def trace_provenance(flaw: FlawDraft, source: Shown | None) -> tuple[str, float | None]:
    """`own`, `adopted` (the suggestion's words unchanged) or `edited`, and how alike the words are (1 is the same).

    A flaw begun from bare evidence is in the labeller's own words; `shown` still tells where it began.
    """
    if source is None:
        return "own", None
    if not source.is_text_shown:
        return "own", None
    mine, theirs = flaw.text.split(), source.critique.text.split()
    similarity = difflib.SequenceMatcher(None, mine, theirs, autojunk=False).ratio()
    return ("adopted" if mine == theirs else "edited"), similarity


def _hits_recorded(flaw: FlawDraft, planted: list[dict[str, Any]]) -> bool | None:
    recorded = [span for one in planted for span in spans_from_json(one.get("answer_spans"))]
    if not recorded:
        return None
    marked = spans_from_json(flaw.answer_spans)
    return any(has_overlap(mine, theirs) for mine in marked for theirs in recorded)


def _store_judgements(session: Session, signed: Signed, assignment: Assignment, shown: list[Shown], body: Body) -> None:
    prefix = f"study/{assignment.person.study.name}/{assignment.public_id}"

    def rate(name: str, scale: str, value: float, **subject: int) -> None:
        row = Rating(
            key=f"{prefix}/{name}", created_by=signed.actor, rater=signed.actor, scale=scale, value=value, **subject
        )
        add(session, row)

    assert body.rating is not None, "find_problems lets no draft without a rating pass"
    rate("quality", "quality_1_7", body.rating, answer_id=assignment.item.answer_id)
    for suggestion, verdict in _judge_shown(shown, body):
        suggestion.verdict = verdict
        if suggestion.is_text_shown:
            rate(
                f"shown-{suggestion.place}", "is_helpful", float(verdict == "used"), critique_id=suggestion.critique_id
            )


def _judge_shown(shown: list[Shown], body: Body) -> Iterator[tuple[Shown, str]]:
    """A suggestion that a listed flaw came from was used, whatever was pressed before."""
    used = Counter(flaw.shown for flaw in body.flaws)
    for suggestion in shown:
        if used[suggestion.place]:
            yield suggestion, "used"
        elif body.verdicts.get(suggestion.place) == "rejected":
            yield suggestion, "rejected"


def count_progress(session: Session, signed: Signed) -> tuple[int, int]:
    """(handed in, planned) of this labeller."""
    query = select(func.count()).where(Assignment.person_id == signed.person.id, Assignment.state == "submitted")
    return session.scalar(query) or 0, signed.plan.items_per_labeller


def find_open(session: Session, signed: Signed) -> Assignment | None:
    """The assignment that this labeller has begun."""
    return session.scalar(
        select(Assignment).where(Assignment.person_id == signed.person.id, Assignment.is_open.is_(True))
    )
