"""The store's tables, append-only. Written out, because a migration must not change when the models do."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from vivavoce.critique.store.append_only import install_triggers

revision = "store_0001"
down_revision = None
branch_labels = ("store",)
depends_on = None

_TABLES = ("passages", "questions", "answers", "critiques", "refinements", "ratings", "events")


def _json() -> sa.JSON:
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def _versioned() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("key", sa.String(200), nullable=False, index=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("is_retracted", sa.Boolean(), nullable=False),
        sa.Column("details", _json(), nullable=False),
        sa.UniqueConstraint("key", "version"),
        sa.CheckConstraint("version >= 1", name="version_positive"),
    ]


def _medium() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("modality", sa.String(10), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("media_path", sa.String(500)),
        sa.Column("media_digest", sa.String(64)),
        sa.Column("width", sa.Integer()),
        sa.Column("height", sa.Integer()),
        sa.Column("duration_s", sa.Double()),
        sa.CheckConstraint("modality IN ('text', 'image', 'audio', 'video')", name="modality_known"),
        sa.CheckConstraint("modality = 'text' OR media_path IS NOT NULL", name="medium_has_file"),
    ]


def _author(*kinds: str) -> list[sa.schema.SchemaItem]:
    known = ", ".join(f"'{kind}'" for kind in kinds)
    return [
        sa.Column("author_kind", sa.String(20), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.CheckConstraint(f"author_kind IN ({known})", name="author_kind_known"),
    ]


def _to(table: str, column: str, *, nullable: bool = False, index: bool = True) -> sa.Column[int]:
    return sa.Column(column, sa.Integer(), sa.ForeignKey(f"{table}.id"), nullable=nullable, index=index)


def upgrade() -> None:
    """Create every table with its indices and triggers."""
    op.create_table(
        "passages",
        *_versioned(),
        *_medium(),
        sa.Column("source", sa.String(100), nullable=False),
        sa.Column("title", sa.String(500)),
        sa.Column("split", sa.String(10), nullable=False),
        sa.Column("content_digest", sa.String(64), nullable=False, index=True),
        sa.CheckConstraint("split IN ('train', 'validation', 'test')", name="split_known"),
    )
    op.create_table(
        "questions",
        *_versioned(),
        _to("passages", "passage_id"),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("is_topic_based", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "answers",
        *_versioned(),
        *_medium(),
        *_author("model", "person", "misleading"),
        _to("questions", "question_id"),
        _to("answers", "parent_id", nullable=True),
        sa.Column("planted_flaws", _json(), nullable=False),
        sa.Column("is_correct", sa.Boolean()),
    )
    _create_judgements()
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("actor", sa.String(200), nullable=False, index=True),
        sa.Column("kind", sa.String(60), nullable=False, index=True),
        sa.Column("subject_table", sa.String(40)),
        sa.Column("subject_id", sa.Integer()),
        sa.Column("payload", _json(), nullable=False),
    )
    for table in _TABLES:
        install_triggers(op.get_bind(), table)


def _create_judgements() -> None:
    op.create_table(
        "critiques",
        *_versioned(),
        *_author("model", "person", "oracle", "decoy"),
        _to("answers", "answer_id"),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("category", sa.String(40)),
        sa.Column("category_text", sa.String(500)),
        sa.Column("severity", sa.Integer()),
        sa.Column("passage_spans", _json(), nullable=False),
        sa.Column("answer_spans", _json(), nullable=False),
        sa.Column("is_valid", sa.Boolean()),
        sa.Column("is_helpful", sa.Boolean()),
        sa.Column("rank", sa.Integer()),
        sa.CheckConstraint("severity BETWEEN 1 AND 4", name="severity_range"),
        sa.CheckConstraint("rank >= 0", name="rank_range"),
    )
    op.create_table(
        "refinements",
        *_versioned(),
        *_author("model", "person"),
        _to("answers", "answer_id"),
        _to("refinements", "parent_id", nullable=True, index=False),
        _to("critiques", "critique_id", nullable=True),
        sa.Column("mode", sa.String(20), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.CheckConstraint("mode IN ('direct', 'conditional')", name="mode_known"),
        sa.CheckConstraint("(mode = 'conditional') = (critique_id IS NOT NULL)", name="critique_when_conditional"),
    )
    subjects = ("answer_id", "critique_id", "refinement_id")
    count = " + ".join(f"(CASE WHEN {column} IS NULL THEN 0 ELSE 1 END)" for column in subjects)
    op.create_table(
        "ratings",
        *_versioned(),
        _to("answers", "answer_id", nullable=True),
        _to("critiques", "critique_id", nullable=True),
        _to("refinements", "refinement_id", nullable=True),
        sa.Column("rater", sa.String(200), nullable=False, index=True),
        sa.Column("scale", sa.String(40), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.CheckConstraint(f"{count} = 1", name="one_subject"),
    )


def downgrade() -> None:
    """Drop every table; the triggers go with them."""
    for table in reversed(_TABLES):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION IF EXISTS vivavoce_refuse_change()")
