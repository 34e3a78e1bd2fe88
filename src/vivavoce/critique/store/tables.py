"""The tables that trainer, critics, study and analysis share.

Append-only: a row is one version of a thing. `key` names the thing for good, `version` counts from 1, and the newest
version is what is current (`vivavoce.critique.store.versions.current`). References point to the row, that is to the
version that was seen, because spans are offsets into exactly that text. Triggers in the database and a session hook
refuse UPDATE and DELETE.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    ForeignKey,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column, relationship

SPLITS = ("train", "validation", "test")
MODALITIES = ("text", "image", "audio", "video")
ANSWER_AUTHORS = ("model", "person", "misleading")
CRITIQUE_AUTHORS = ("model", "person", "oracle", "decoy")
REFINEMENT_MODES = ("direct", "conditional")

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, aware on both databases (SQLite drops the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Refuse a naive time, store UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"time {value} has no zone; use datetime.now(UTC)")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Attach UTC where the database has dropped it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc_now() -> datetime:
    """This moment, aware."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """Declarative base of the store's tables and of the study's."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: Json, list[dict[str, Any]]: Json}  # noqa: RUF012


def _one_of(column: str, values: tuple[str, ...], name: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=name)


class Versioned:
    """Columns of every append-only thing."""

    id: Mapped[int] = mapped_column(primary_key=True)
    """The row, that is this version; what other tables refer to."""
    key: Mapped[str] = mapped_column(String(200), index=True)
    """The thing, over all versions."""
    version: Mapped[int]
    """1, 2, ... without gaps."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    created_by: Mapped[str] = mapped_column(String(200))
    """Who wrote this version: `import`, a labeller's key, a model's name."""
    digest: Mapped[str] = mapped_column(String(64))
    """sha256 of the content, so that an import can tell a repeat from a change."""
    is_retracted: Mapped[bool] = mapped_column(default=False)
    """True for a last version that takes the thing out of use."""
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What a source says beyond these columns."""

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        return (
            UniqueConstraint("key", "version"),
            CheckConstraint("version >= 1", name="version_positive"),
            *cls.rules(),
        )

    @classmethod
    def rules(cls) -> tuple[Any, ...]:
        """Further constraints of one table."""
        return ()


class Medium:
    """Columns of a thing that can be text, a picture, a sound or a film."""

    modality: Mapped[str] = mapped_column(String(10), default="text")
    text: Mapped[str] = mapped_column(Text, default="")
    """The text; for other media the transcript or caption, or empty."""
    media_path: Mapped[str | None] = mapped_column(String(500))
    """File of the medium, relative to the store's media directory; None for text."""
    media_digest: Mapped[str | None] = mapped_column(String(64))
    """sha256 of that file."""
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration_s: Mapped[float | None]

    @staticmethod
    def medium_rules() -> tuple[Any, ...]:
        """A known modality; a file and a size wherever it is no text."""
        return (
            _one_of("modality", MODALITIES, "modality_known"),
            CheckConstraint("modality = 'text' OR media_path IS NOT NULL", name="medium_has_file"),
        )


class Passage(Versioned, Medium, Base):
    """What the question is about."""

    __tablename__ = "passages"

    source: Mapped[str] = mapped_column(String(100))
    """The data set (`squality`, `openai`, `addition`, ...)."""
    title: Mapped[str | None] = mapped_column(String(500))
    split: Mapped[str] = mapped_column(String(10))
    content_digest: Mapped[str] = mapped_column(String(64), index=True)
    """sha256 of the normalised text or of the file: equal passages must be in one split."""

    @classmethod
    def rules(cls) -> tuple[Any, ...]:
        """Known split and modality."""
        return (_one_of("split", SPLITS, "split_known"), *cls.medium_rules())


class Question(Versioned, Base):
    """One question about a passage."""

    __tablename__ = "questions"

    passage_id: Mapped[int] = mapped_column(ForeignKey("passages.id"), index=True)
    text: Mapped[str] = mapped_column(Text)
    is_topic_based: Mapped[bool] = mapped_column(default=False)

    passage: Mapped[Passage] = relationship()


class Answer(Versioned, Medium, Base):
    """An answer: by a model, by a person, or by a person who means to mislead and records the flaw."""

    __tablename__ = "answers"

    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id"), index=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("answers.id"), index=True)
    """The answer that this one was edited from: the clean twin of a planted flaw."""
    author_kind: Mapped[str] = mapped_column(String(20))
    author: Mapped[str] = mapped_column(String(200))
    planted_flaws: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """`[{"text", "category", "severity", "answer_spans", "passage_spans"}]`, the recorded intended flaws."""
    is_correct: Mapped[bool | None]
    """True if known to have no flaw, False if known to have one, None if nobody knows."""

    question: Mapped[Question] = relationship()
    parent: Mapped[Answer | None] = relationship(remote_side="Answer.id")

    @classmethod
    def rules(cls) -> tuple[Any, ...]:
        """Known author kind and modality."""
        return (_one_of("author_kind", ANSWER_AUTHORS, "author_kind_known"), *cls.medium_rules())


class Critique(Versioned, Base):
    """One flaw that someone claims an answer to have."""

    __tablename__ = "critiques"

    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id"), index=True)
    author_kind: Mapped[str] = mapped_column(String(20))
    author: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    category: Mapped[str | None] = mapped_column(String(40))
    """`accuracy`, `coverage`, `coherence`, `other`, or a source's own."""
    category_text: Mapped[str | None] = mapped_column(String(500))
    severity: Mapped[int | None]
    """1 to 4."""
    passage_spans: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    answer_spans: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    is_valid: Mapped[bool | None]
    is_helpful: Mapped[bool | None]
    rank: Mapped[int | None]
    """0 is best, among the critiques of one answer that were ranked together."""

    answer: Mapped[Answer] = relationship()

    @classmethod
    def rules(cls) -> tuple[Any, ...]:
        """Known author kind, severity and rank in range."""
        return (
            _one_of("author_kind", CRITIQUE_AUTHORS, "author_kind_known"),
            CheckConstraint("severity BETWEEN 1 AND 4", name="severity_range"),
            CheckConstraint("rank >= 0", name="rank_range"),
        )


class Refinement(Versioned, Base):
    """An improved answer, with a critique (conditional) or without (direct)."""

    __tablename__ = "refinements"

    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id"), index=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("refinements.id"))
    """The refinement that this one goes on from; the release's are cumulative."""
    critique_id: Mapped[int | None] = mapped_column(ForeignKey("critiques.id"), index=True)
    mode: Mapped[str] = mapped_column(String(20))
    author_kind: Mapped[str] = mapped_column(String(20))
    author: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)

    answer: Mapped[Answer] = relationship()
    critique: Mapped[Critique | None] = relationship()

    @classmethod
    def rules(cls) -> tuple[Any, ...]:
        """Conditional exactly when there is a critique."""
        return (
            _one_of("mode", REFINEMENT_MODES, "mode_known"),
            _one_of("author_kind", ("model", "person"), "author_kind_known"),
            CheckConstraint("(mode = 'conditional') = (critique_id IS NOT NULL)", name="critique_when_conditional"),
        )


class Rating(Versioned, Base):
    """One rater's judgement of one answer, critique or refinement; individual labels are kept."""

    __tablename__ = "ratings"

    answer_id: Mapped[int | None] = mapped_column(ForeignKey("answers.id"), index=True)
    critique_id: Mapped[int | None] = mapped_column(ForeignKey("critiques.id"), index=True)
    refinement_id: Mapped[int | None] = mapped_column(ForeignKey("refinements.id"), index=True)
    rater: Mapped[str] = mapped_column(String(200), index=True)
    scale: Mapped[str] = mapped_column(String(40))
    """What is rated: `quality_1_7`, `correctness_0_100`, `is_valid`, `is_helpful`, `rank`, `better_exists`, ..."""
    value: Mapped[float]

    @classmethod
    def rules(cls) -> tuple[Any, ...]:
        """Exactly one subject."""
        subjects = ("answer_id", "critique_id", "refinement_id")
        count = " + ".join(f"(CASE WHEN {column} IS NULL THEN 0 ELSE 1 END)" for column in subjects)
        return (CheckConstraint(f"{count} = 1", name="one_subject"),)


class Event(Base):
    """Something that happened, in order: an import, a training, a labeller's page. Never versioned."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=utc_now, index=True)
    actor: Mapped[str] = mapped_column(String(200), index=True)
    kind: Mapped[str] = mapped_column(String(60), index=True)
    subject_table: Mapped[str | None] = mapped_column(String(40))
    subject_id: Mapped[int | None]
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)


APPEND_ONLY = ("passages", "questions", "answers", "critiques", "refinements", "ratings", "events")
