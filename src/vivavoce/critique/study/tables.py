"""The study's own tables; what is said about answers goes into the store's (critiques, refinements, ratings, events).

Content stays append-only there. Here are the rows that have a state: who may sign in, which assignment is open, which
check is due. Uniqueness that must hold under concurrent labellers is a constraint of the database, not of the code.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from vivavoce.critique.store.tables import Answer, Base, Critique, utc_now

ROLES = ("labeller", "validator", "admin")
ASSIGNMENT_STATES = ("open", "submitted", "declined", "released")
PROVENANCES = ("own", "adopted", "edited")
VERDICTS = ("valid", "invalid", "unsure")


def _known(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=f"{column}_known")


class Study(Base):
    """One study and the plan that it is bound to."""

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    plan: Mapped[dict[str, Any]]
    plan_digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    closed_at: Mapped[datetime | None]


class Person(Base):
    """Someone who takes part, under a code. `key` is what the store's rows name as author, rater or actor."""

    __tablename__ = "study_people"
    __table_args__ = (UniqueConstraint("study_id", "key"), _known("role", ROLES))

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    key: Mapped[str] = mapped_column(String(60))
    role: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    consented_at: Mapped[datetime | None]
    consent_digest: Mapped[str | None] = mapped_column(String(64))
    """sha256 of the text that was agreed to."""
    withdrawn_at: Mapped[datetime | None]

    study: Mapped[Study] = relationship()


class Invitation(Base):
    """A personal link. Only the digest of its token is stored; it works until it expires or is revoked."""

    __tablename__ = "study_invitations"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("study_people.id"), index=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    person: Mapped[Person] = relationship()


class SignIn(Base):
    """A browser that is signed in. `csrf` is what its forms must send back."""

    __tablename__ = "study_sign_ins"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("study_people.id"), index=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    seen_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]

    person: Mapped[Person] = relationship()


class Item(Base):
    """An answer that is in the study, and its kind."""

    __tablename__ = "study_items"
    __table_args__ = (UniqueConstraint("study_id", "answer_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id"))
    kind: Mapped[str] = mapped_column(String(20))
    passage_key: Mapped[str] = mapped_column(String(200))

    answer: Mapped[Answer] = relationship()


class Material(Base):
    """A critique that an arm shows for an item, chosen before anyone saw it; `rank` 0 is the best."""

    __tablename__ = "study_materials"
    __table_args__ = (UniqueConstraint("item_id", "arm", "rank"), UniqueConstraint("item_id", "arm", "critique_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("study_items.id"), index=True)
    arm: Mapped[str] = mapped_column(String(40))
    rank: Mapped[int]
    critique_id: Mapped[int] = mapped_column(ForeignKey("critiques.id"))
    is_decoy: Mapped[bool] = mapped_column(default=False)

    critique: Mapped[Critique] = relationship()


class Assignment(Base):
    """One answer given to one labeller in one arm.

    `slot` counts the labellers of an (item, arm) cell from 0 and is None once the assignment no longer fills it;
    `is_open` is True or None. Both exist for their constraints: no cell filled twice, one open assignment per labeller.
    """

    __tablename__ = "study_assignments"
    __table_args__ = (
        UniqueConstraint("person_id", "item_id"),
        UniqueConstraint("person_id", "position"),
        UniqueConstraint("item_id", "arm", "slot"),
        UniqueConstraint("person_id", "is_open"),
        _known("state", ASSIGNMENT_STATES),
        Index("ix_study_assignments_study_state", "study_id", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("study_people.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("study_items.id"))
    arm: Mapped[str] = mapped_column(String(40))
    position: Mapped[int]
    kind_idx: Mapped[int]
    """Place in the labeller's sequence of arms for this kind; its block is kind_idx // block size."""
    slot: Mapped[int | None]
    state: Mapped[str] = mapped_column(String(20), default="open")
    is_open: Mapped[bool | None] = mapped_column(default=True)
    lock: Mapped[str | None] = mapped_column(String(32))
    """The browser tab that may write."""
    opened_at: Mapped[datetime] = mapped_column(default=utc_now)
    closed_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(String(500))
    active_s: Mapped[float | None]
    idle_s: Mapped[float | None]

    item: Mapped[Item] = relationship()
    person: Mapped[Person] = relationship()


class Shown(Base):
    """A suggestion as one labeller saw it; its place on the page, and what they said of it."""

    __tablename__ = "study_shown"
    __table_args__ = (UniqueConstraint("assignment_id", "place"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("study_assignments.id"), index=True)
    place: Mapped[int]
    critique_id: Mapped[int] = mapped_column(ForeignKey("critiques.id"))
    is_decoy: Mapped[bool]
    is_text_shown: Mapped[bool]
    """False where only its quotes were shown."""
    verdict: Mapped[str | None] = mapped_column(String(20))
    """`used` or `rejected`, at submission."""

    critique: Mapped[Critique] = relationship()


class Draft(Base):
    """One saved state of an unfinished assignment; versions are appended, never overwritten."""

    __tablename__ = "study_drafts"
    __table_args__ = (UniqueConstraint("assignment_id", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("study_assignments.id"), index=True)
    version: Mapped[int]
    saved_at: Mapped[datetime] = mapped_column(default=utc_now)
    body: Mapped[dict[str, Any]]


class Finding(Base):
    """A flaw that was handed in: its critique in the store, and where it came from."""

    __tablename__ = "study_findings"
    __table_args__ = (UniqueConstraint("assignment_id", "uid"), _known("provenance", PROVENANCES))

    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("study_assignments.id"), index=True)
    uid: Mapped[str] = mapped_column(String(40))
    critique_id: Mapped[int] = mapped_column(ForeignKey("critiques.id"), unique=True)
    provenance: Mapped[str] = mapped_column(String(20))
    shown_id: Mapped[int | None] = mapped_column(ForeignKey("study_shown.id"))
    similarity: Mapped[float | None]
    """Of the text to the suggestion it came from: 1 is unchanged."""
    is_span_hit: Mapped[bool | None]
    """True if a marked span of the answer overlaps a recorded intended flaw; None where none is recorded."""
    num_raters: Mapped[int]
    """How many second raters it is to have."""

    assignment: Mapped[Assignment] = relationship()
    critique: Mapped[Critique] = relationship()
    shown: Mapped[Shown | None] = relationship()


class Check(Base):
    """One second rater's look at one finding. `place` counts the raters of a finding, and is None once given back."""

    __tablename__ = "study_checks"
    __table_args__ = (
        UniqueConstraint("finding_id", "person_id"),
        UniqueConstraint("finding_id", "place"),
        UniqueConstraint("person_id", "is_open"),
        CheckConstraint("verdict IN ('valid', 'invalid', 'unsure')", name="verdict_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    finding_id: Mapped[int] = mapped_column(ForeignKey("study_findings.id"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("study_people.id"))
    place: Mapped[int | None]
    is_open: Mapped[bool | None] = mapped_column(default=True)
    opened_at: Mapped[datetime] = mapped_column(default=utc_now)
    closed_at: Mapped[datetime | None]
    verdict: Mapped[str | None] = mapped_column(String(20))
    severity: Mapped[int | None]
    is_intended: Mapped[bool | None]
    """Whether it names the recorded intended flaw; None where none is recorded."""
    note: Mapped[str] = mapped_column(Text, default="")

    finding: Mapped[Finding] = relationship()
    person: Mapped[Person] = relationship()


STUDY_TABLES = (
    "studies",
    "study_people",
    "study_invitations",
    "study_sign_ins",
    "study_items",
    "study_materials",
    "study_assignments",
    "study_shown",
    "study_drafts",
    "study_findings",
    "study_checks",
)
