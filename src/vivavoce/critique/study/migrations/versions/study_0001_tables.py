"""The study's tables. Written out, because a migration must not change when the models do."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from vivavoce.critique.store.append_only import install_triggers

revision = "study_0001"
down_revision = None
branch_labels = ("study",)
depends_on = "store_0001"

_TABLES = (
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


def _json() -> sa.JSON:
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer(), primary_key=True)


def _to(table: str, column: str, *, nullable: bool = False, index: bool = False) -> sa.Column[int]:
    return sa.Column(column, sa.Integer(), sa.ForeignKey(f"{table}.id"), nullable=nullable, index=index)


def _text(name: str, size: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(size), nullable=nullable)


def _whole(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _flag(name: str, *, nullable: bool = False) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _known(column: str, *values: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=f"{column}_known")


def upgrade() -> None:
    """Create every table."""
    _create_people()
    _create_materials()
    _create_assignments()
    _create_findings()
    install_triggers(op.get_bind(), "study_drafts")


def _create_people() -> None:
    op.create_table(
        "studies",
        _id(),
        sa.Column("name", sa.String(100), nullable=False, unique=True),
        sa.Column("plan", _json(), nullable=False),
        _text("plan_digest", 64),
        _moment("created_at"),
        _moment("closed_at", nullable=True),
    )
    op.create_table(
        "study_people",
        _id(),
        _to("studies", "study_id", index=True),
        _text("key", 60),
        _text("role", 20),
        _moment("created_at"),
        _moment("consented_at", nullable=True),
        _text("consent_digest", 64, nullable=True),
        _moment("withdrawn_at", nullable=True),
        sa.UniqueConstraint("study_id", "key"),
        _known("role", "labeller", "validator", "admin"),
    )
    op.create_table(
        "study_invitations",
        _id(),
        _to("study_people", "person_id", index=True),
        sa.Column("token_digest", sa.String(64), nullable=False, unique=True),
        _moment("created_at"),
        _moment("expires_at"),
        _moment("revoked_at", nullable=True),
    )
    op.create_table(
        "study_sign_ins",
        _id(),
        _to("study_people", "person_id", index=True),
        sa.Column("token_digest", sa.String(64), nullable=False, unique=True),
        _text("csrf", 64),
        _moment("created_at"),
        _moment("seen_at"),
        _moment("expires_at"),
    )


def _create_materials() -> None:
    op.create_table(
        "study_items",
        _id(),
        _to("studies", "study_id", index=True),
        _to("answers", "answer_id"),
        _text("kind", 20),
        _text("passage_key", 200),
        sa.UniqueConstraint("study_id", "answer_id"),
    )
    op.create_table(
        "study_materials",
        _id(),
        _to("study_items", "item_id", index=True),
        _text("arm", 40),
        _whole("rank"),
        _to("critiques", "critique_id"),
        _flag("is_decoy"),
        sa.UniqueConstraint("item_id", "arm", "rank"),
        sa.UniqueConstraint("item_id", "arm", "critique_id"),
    )


def _create_assignments() -> None:
    op.create_table(
        "study_assignments",
        _id(),
        sa.Column("public_id", sa.String(32), nullable=False, unique=True),
        _to("studies", "study_id"),
        _to("study_people", "person_id"),
        _to("study_items", "item_id"),
        _text("arm", 40),
        _whole("position"),
        _whole("kind_idx"),
        _whole("slot", nullable=True),
        _text("state", 20),
        _flag("is_open", nullable=True),
        _text("lock", 32, nullable=True),
        _moment("opened_at"),
        _moment("closed_at", nullable=True),
        _text("reason", 500, nullable=True),
        sa.Column("active_s", sa.Double()),
        sa.Column("idle_s", sa.Double()),
        sa.UniqueConstraint("person_id", "item_id"),
        sa.UniqueConstraint("person_id", "position"),
        sa.UniqueConstraint("item_id", "arm", "slot"),
        sa.UniqueConstraint("person_id", "is_open"),
        _known("state", "open", "submitted", "declined", "released"),
    )
    op.create_index("ix_study_assignments_study_state", "study_assignments", ["study_id", "state"])
    op.create_table(
        "study_shown",
        _id(),
        _to("study_assignments", "assignment_id", index=True),
        _whole("place"),
        _to("critiques", "critique_id"),
        _flag("is_decoy"),
        _flag("is_text_shown"),
        _text("verdict", 20, nullable=True),
        sa.UniqueConstraint("assignment_id", "place"),
    )
    op.create_table(
        "study_drafts",
        _id(),
        _to("study_assignments", "assignment_id", index=True),
        _whole("version"),
        _moment("saved_at"),
        sa.Column("body", _json(), nullable=False),
        sa.UniqueConstraint("assignment_id", "version"),
    )


def _create_findings() -> None:
    op.create_table(
        "study_findings",
        _id(),
        _to("study_assignments", "assignment_id", index=True),
        _text("uid", 40),
        sa.Column("critique_id", sa.Integer(), sa.ForeignKey("critiques.id"), nullable=False, unique=True),
        _text("provenance", 20),
        _to("study_shown", "shown_id", nullable=True),
        sa.Column("similarity", sa.Double()),
        _flag("is_span_hit", nullable=True),
        _whole("num_raters"),
        sa.UniqueConstraint("assignment_id", "uid"),
        _known("provenance", "own", "adopted", "edited"),
    )
    op.create_table(
        "study_checks",
        _id(),
        sa.Column("public_id", sa.String(32), nullable=False, unique=True),
        _to("study_findings", "finding_id", index=True),
        _to("study_people", "person_id"),
        _whole("place", nullable=True),
        _flag("is_open", nullable=True),
        _moment("opened_at"),
        _moment("closed_at", nullable=True),
        _text("verdict", 20, nullable=True),
        _whole("severity", nullable=True),
        _flag("is_intended", nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.UniqueConstraint("finding_id", "person_id"),
        sa.UniqueConstraint("finding_id", "place"),
        sa.UniqueConstraint("person_id", "is_open"),
        _known("verdict", "valid", "invalid", "unsure"),
    )


def downgrade() -> None:
    """Drop every table; the store's stay."""
    for table in reversed(_TABLES):
        op.drop_table(table)
