"""The second raters' queue: is this flaw real? Blinded to labeller, arm and provenance; nobody rates their own.

Each finding is rated by as many people as it was given at submission; when all have, the majority goes into the store
as the critique's next version (`is_valid`), beside every single rating.
"""

from __future__ import annotations

import secrets

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from vivavoce.critique.store import Critique, Rating, add, find, record_event, revise, utc_now
from vivavoce.critique.study import refusals
from vivavoce.critique.study.accounts import Signed
from vivavoce.critique.study.randomise import shuffle_shown
from vivavoce.critique.study.tables import VERDICTS, Assignment, Check, Finding, Person

_MAX_TRIES = 25


def claim_check(session: Session, signed: Signed) -> Check | None:
    """This rater's open check, or the next finding that lacks raters; None when there is none for them now.

    Raises: Refusal if the person is no validator.
    """
    person = session.get_one(Person, signed.person.id, with_for_update=True)
    if person.role != "validator":
        raise refusals.not_found("check")
    already = session.scalar(select(Check).where(Check.person_id == person.id, Check.is_open.is_(True)))
    if already is not None:
        return already
    for _ in range(_MAX_TRIES):
        check = _try_claim(session, signed, person)
        if check is None or check.id is not None:
            return check
    raise refusals.Refusal("busy", "Many people are rating at once. Please try again in a moment.", 503)


def _try_claim(session: Session, signed: Signed, person: Person) -> Check | None:
    """A stored check; one without id if someone took its place; None if nothing is left."""
    placed = select(func.count()).where(Check.finding_id == Finding.id, Check.place.is_not(None)).scalar_subquery()
    mine = select(Check.finding_id).where(Check.person_id == person.id)
    query = (
        select(Finding.id)
        .join(Assignment, Finding.assignment_id == Assignment.id)
        .join(Person, Assignment.person_id == Person.id)
        .where(Assignment.study_id == person.study_id, Assignment.state == "submitted", Person.withdrawn_at.is_(None))
        .where(Assignment.person_id != person.id, Finding.id.not_in(mine), placed < Finding.num_raters)
        .order_by(placed.desc(), Finding.id)
        .limit(50)
    )
    waiting = list(session.scalars(query))
    if not waiting:
        return None
    chosen = shuffle_shown(
        waiting, seed=signed.plan.seed, assignment=f"check/{person.key}/{len(waiting)}/{waiting[0]}"
    )[0]
    finding_id = int(str(chosen))
    taken = set(session.scalars(select(Check.place).where(Check.finding_id == finding_id, Check.place.is_not(None))))
    place = next(number for number in range(len(taken) + 1) if number not in taken)
    check = Check(public_id=secrets.token_hex(12), finding_id=finding_id, person_id=person.id, place=place)
    try:
        with session.begin_nested():
            session.add(check)
            session.flush()
    except IntegrityError:
        return Check()
    record_event(session, signed.actor, "study.check_assigned", subject=check)
    return check


def find_check(session: Session, signed: Signed, public_id: str, *, is_locked: bool = False) -> Check:
    """This rater's check.

    Raises: Refusal `not_found`.
    """
    query = select(Check).where(Check.public_id == public_id, Check.person_id == signed.person.id)
    check = session.scalar(query.with_for_update() if is_locked else query)
    if check is None:
        raise refusals.not_found("check")
    return check


def has_recorded_flaw(check: Check) -> bool:
    """True if the answer has a recorded intended flaw, so that the rater is asked whether this is it."""
    return bool(check.finding.assignment.item.answer.planted_flaws)


def give_verdict(
    session: Session,
    signed: Signed,
    public_id: str,
    *,
    verdict: str,
    severity: int | None = None,
    is_intended: bool | None = None,
    note: str = "",
) -> bool:
    """Store a verdict; False if it was given before (a double submit changes nothing).

    Raises: Refusal `incomplete` naming what is missing.
    """
    check = find_check(session, signed, public_id, is_locked=True)
    if check.is_open is None:
        return False
    if verdict not in VERDICTS:
        raise refusals.Refusal("incomplete", "Choose whether the flaw is real: valid, not valid or unsure.", 422)
    if verdict == "valid" and severity not in signed.plan.severities:
        raise refusals.Refusal("incomplete", "Choose how serious the flaw is.", 422)
    if has_recorded_flaw(check) and is_intended is None:
        raise refusals.Refusal("incomplete", "Say whether this is the flaw that was put in on purpose.", 422)
    check.verdict, check.severity, check.note = verdict, severity if verdict == "valid" else None, note.strip()[:2000]
    check.is_intended = is_intended if has_recorded_flaw(check) else None
    check.closed_at, check.is_open = utc_now(), None
    _store_rating(session, signed, check)
    record_event(session, signed.actor, "study.checked", subject=check, payload={"verdict": verdict})
    session.flush()
    _settle(session, check.finding)
    return True


def _store_rating(session: Session, signed: Signed, check: Check) -> None:
    if check.verdict == "unsure":
        return
    key = f"study/{signed.person.study.name}/check/{check.public_id}"
    value = float(check.verdict == "valid")
    critique_id = check.finding.critique_id
    row = Rating(
        key=key, created_by=signed.actor, rater=signed.actor, scale="is_valid", value=value, critique_id=critique_id
    )
    add(session, row)


def _settle(session: Session, finding: Finding) -> None:
    is_done = (Check.finding_id == finding.id, Check.verdict.is_not(None))
    verdicts = list(session.scalars(select(Check.verdict).where(*is_done)))
    if len(verdicts) < finding.num_raters:
        return
    num_valid, num_invalid = verdicts.count("valid"), verdicts.count("invalid")
    newest = find(session, Critique, finding.critique.key)
    if num_valid == num_invalid or newest is None:
        return
    if newest.is_valid != (num_valid > num_invalid):
        revise(session, newest, by="study validation", is_valid=num_valid > num_invalid)


def count_waiting(session: Session, study_id: int) -> tuple[int, int]:
    """(checks given, checks wanted) over all findings of a study."""
    in_study = (
        select(Finding)
        .join(Assignment, Finding.assignment_id == Assignment.id)
        .where(Assignment.study_id == study_id, Assignment.state == "submitted")
    )
    findings = in_study.subquery()
    wanted = session.scalar(select(func.sum(findings.c.num_raters))) or 0
    given = (
        session.scalar(select(func.count()).where(Check.finding_id == findings.c.id, Check.verdict.is_not(None))) or 0
    )
    return given, wanted
