"""Who may do what: personal links, sign-ins that expire, consent.

A link is a 256-bit token of which the database holds only the digest. It works until it expires or is revoked, so a
labeller whose session ended opens it again; opening it signs nobody in (mail scanners open links), pressing Start does.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, joinedload

from vivavoce.critique.store import record_event, utc_now
from vivavoce.critique.study.plan import StudyPlan, plan_from_json
from vivavoce.critique.study.refusals import Refusal, SignedOut
from vivavoce.critique.study.tables import ROLES, Invitation, Person, SignIn, Study
from vivavoce.errors import ConfigError

# chosen: a sign-in is prolonged at most this often, so that reading a page is seldom a write
_PROLONG_EVERY_S = 30.0


class Signed(NamedTuple):
    """A person, their study's plan, and what their forms must send back."""

    person: Person
    plan: StudyPlan
    csrf: str

    @property
    def actor(self) -> str:
        """What the store's rows name them by."""
        return actor_of(self.person)


def actor_of(person: Person) -> str:
    """`study:key`, the name of a person in the store's rows."""
    return f"{person.study.name}:{person.key}"


def digest_token(token: str) -> str:
    """sha256 of a secret token: what the database holds of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def invite(
    session: Session, study: Study, *, role: str, num_days: float = 30, key: str | None = None
) -> tuple[Person, str]:
    """A new person and the token of their link; it is shown now and never again.

    Raises: ConfigError for an unknown role, or a key that is in use.
    """
    if role not in ROLES:
        raise ConfigError(f"role is {role!r}; need one of {ROLES}")
    person = Person(study_id=study.id, key=key or _new_key(session, study, role), role=role)
    taken = select(Person.id).where(Person.study_id == study.id, Person.key == person.key)
    if session.scalar(taken) is not None:
        raise ConfigError(f"key {person.key!r} is in use in study {study.name!r}; choose another")
    session.add(person)
    session.flush()
    token = renew_link(session, person, num_days=num_days)
    record_event(session, "study", "study.invited", subject=person, payload={"role": role})
    return person, token


def renew_link(session: Session, person: Person, *, num_days: float = 30) -> str:
    """A new link's token for `person`; the older links stop working."""
    now = utc_now()
    session.execute(
        update(Invitation)
        .where(Invitation.person_id == person.id, Invitation.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    token = secrets.token_urlsafe(32)
    session.add(
        Invitation(person_id=person.id, token_digest=digest_token(token), expires_at=now + timedelta(days=num_days))
    )
    return token


def revoke(session: Session, person: Person) -> None:
    """End every link and every sign-in of `person`, at once."""
    now = utc_now()
    for table in (Invitation, SignIn):
        session.execute(update(table).where(table.person_id == person.id).values(expires_at=now))
    record_event(session, "study", "study.revoked", subject=person)


def find_invited(session: Session, token: str) -> Person:
    """Whose link it is.

    Raises: Refusal if the link is unknown, has expired or was revoked; which of them is not told.
    """
    invitation = session.scalar(select(Invitation).where(Invitation.token_digest == digest_token(token)))
    is_good = invitation is not None and invitation.revoked_at is None and invitation.expires_at > utc_now()
    if invitation is None or not is_good or invitation.person.withdrawn_at is not None:
        raise Refusal(
            "bad_link",
            "This link does not work, or does not work any more. Ask whoever invited you for a new one.",
            403,
        )
    return invitation.person


def sign_in(session: Session, token: str) -> str:
    """The token of a new sign-in, for the cookie.

    Raises: Refusal as `find_invited` does.
    """
    person = find_invited(session, token)
    plan = plan_from_json(person.study.plan)
    cookie = secrets.token_urlsafe(32)
    row = SignIn(
        person_id=person.id,
        token_digest=digest_token(cookie),
        csrf=secrets.token_urlsafe(24),
        expires_at=utc_now() + timedelta(minutes=plan.session_minutes),
    )
    session.add(row)
    record_event(session, actor_of(person), "study.signed_in", subject=person)
    return cookie


def find_signed(session: Session, cookie: str | None) -> Signed:
    """Who sends this cookie; every request prolongs the sign-in.

    Raises: SignedOut.
    """
    row = None
    if cookie:
        study_too = joinedload(SignIn.person, innerjoin=True).joinedload(Person.study, innerjoin=True)
        row = session.scalar(select(SignIn).where(SignIn.token_digest == digest_token(cookie)).options(study_too))
    now = utc_now()
    if row is None or row.expires_at <= now or row.person.withdrawn_at is not None:
        raise SignedOut
    plan = plan_from_json(row.person.study.plan)
    if (now - row.seen_at).total_seconds() > _PROLONG_EVERY_S:
        row.seen_at, row.expires_at = now, now + timedelta(minutes=plan.session_minutes)
    return Signed(row.person, plan, row.csrf)


def sign_out(session: Session, cookie: str | None) -> None:
    """End one sign-in; an unknown one is no error."""
    if cookie:
        query = update(SignIn).where(SignIn.token_digest == digest_token(cookie)).values(expires_at=utc_now())
        session.execute(query)


def check_csrf(signed: Signed, sent: str | None) -> None:
    """Refuse a form or call that another site could have sent.

    Raises: Refusal `csrf`.
    """
    if not sent or not secrets.compare_digest(sent, signed.csrf):
        raise Refusal("csrf", "This form is out of date. Reload the page and send it again; nothing was changed.", 403)


def give_consent(session: Session, signed: Signed) -> None:
    """Record that the person agrees to the plan's consent text."""
    signed.person.consented_at = utc_now()
    signed.person.consent_digest = digest_token(signed.plan.consent)
    record_event(session, signed.actor, "study.consented", subject=signed.person)


def needs_consent(signed: Signed) -> bool:
    """True until a labeller or validator has agreed to this text."""
    return signed.person.role != "admin" and signed.person.consent_digest != digest_token(signed.plan.consent)


def withdraw(session: Session, signed: Signed) -> None:
    """End taking part: no more access, and the analysis leaves this person's work out."""
    signed.person.withdrawn_at = utc_now()
    record_event(session, signed.actor, "study.withdrew", subject=signed.person)
    session.execute(update(SignIn).where(SignIn.person_id == signed.person.id).values(expires_at=utc_now()))


def _new_key(session: Session, study: Study, role: str) -> str:
    count = session.scalar(select(func.count()).where(Person.study_id == study.id, Person.role == role)) or 0
    return f"{role[0].upper()}{count + 1:03d}-{secrets.token_hex(2)}"
