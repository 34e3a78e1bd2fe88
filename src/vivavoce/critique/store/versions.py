"""Adding things and versions of things, and reading the current ones.

Every content rule that needs more than one row lives here: spans inside their text, one split per passage text.
"""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Select, and_, exists, func, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from vivavoce.critique.spans import Extent, check_span, spans_from_json
from vivavoce.critique.store.tables import Answer, Critique, Passage, Question, Refinement, Versioned
from vivavoce.critique.texts import digest_text
from vivavoce.errors import DataError
from vivavoce.files import digest_json

Thing = TypeVar("Thing", bound=Versioned)

_BOOKKEEPING = {"id", "key", "version", "created_at", "created_by", "digest"}


def current(table: type[Thing], *, with_retracted: bool = False) -> Select[Thing]:
    """A select of the newest version of every thing in `table`; add `.where(...)` as you like."""
    newer = aliased(table)
    has_newer = exists().where(and_(newer.key == table.key, newer.version > table.version))
    query = select(table).where(~has_newer)
    return query if with_retracted else query.where(~table.is_retracted)


def find(session: Session, table: type[Thing], key: str) -> Thing | None:
    """The newest version of one thing, retracted or not; None if there is none."""
    return session.scalars(select(table).where(table.key == key).order_by(table.version.desc()).limit(1)).first()


def history(session: Session, table: type[Thing], key: str) -> list[Thing]:
    """Every version of one thing, oldest first."""
    return list(session.scalars(select(table).where(table.key == key).order_by(table.version)))


def add(session: Session, row: Thing) -> Thing:
    """Append the first version of a thing; `row.key` and `row.created_by` are set by the caller.

    Raises: DataError if the key is in use, a span is out of range, or a passage stands in another split already.
    """
    return _append(session, row, version=1)


def add_or_skip(session: Session, row: Thing) -> tuple[Thing, bool]:
    """Append `row`, or return the thing with this key and equal content; and whether it was added.

    Raises: DataError if the key is in use with other content, and as `add` does.
    """
    old = find(session, type(row), row.key)
    if old is None:
        return add(session, row), True
    if old.digest != digest_content(row):
        raise DataError(
            f"{_name(row)} {row.key!r} is there already with other content; give it another id, or revise it"
        )
    return old, False


def revise(session: Session, row: Thing, *, by: str, **changes: Any) -> Thing:
    """Append the next version of a thing, with `changes` to its columns.

    Raises: DataError if `row` is not the newest version, a column is unknown, or the content is not valid.
    """
    columns = set(inspect(type(row)).column_attrs.keys())
    unknown = sorted(set(changes) - (columns - _BOOKKEEPING))
    if unknown:
        raise DataError(f"{_name(row)} has no column {unknown} to revise; there are {sorted(columns - _BOOKKEEPING)}")
    newest = session.scalar(select(func.max(type(row).version)).where(type(row).key == row.key))
    if newest != row.version:
        raise DataError(
            f"{_name(row)} {row.key!r} is at version {newest}, not {row.version}: someone revised it; read it again"
        )
    values = {name: getattr(row, name) for name in columns - _BOOKKEEPING} | changes
    return _append(session, type(row)(**{"key": row.key, "created_by": by, **values}), version=row.version + 1)


def retract(session: Session, row: Thing, *, by: str) -> Thing:
    """Append a version that takes the thing out of use; `current` leaves it out."""
    return revise(session, row, by=by, is_retracted=True)


def digest_content(row: Versioned) -> str:
    """sha256 of every column that is content, with defaults filled in."""
    values: dict[str, Any] = {}
    for attribute in inspect(type(row)).column_attrs:
        if attribute.key in _BOOKKEEPING | {"content_digest"}:
            continue
        values[attribute.key] = _value(row, attribute)
    return digest_json(values)


def _value(row: Versioned, attribute: Any) -> Any:
    value = getattr(row, attribute.key)
    default = attribute.columns[0].default
    if value is not None or default is None:
        return value
    value = default.arg(None) if default.is_callable else default.arg
    setattr(row, attribute.key, value)
    return value


def _append(session: Session, row: Thing, *, version: int) -> Thing:
    row.version = version
    row.digest = digest_content(row)
    _refuse_nul(row)
    if isinstance(row, Passage):
        row.content_digest = row.media_digest or digest_text(row.text)
        _check_split(session, row)
    _check_content(session, row)
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError as error:
        raise DataError(_explain(error, row)) from error
    return row


def _refuse_nul(row: Versioned) -> None:
    for attribute in inspect(type(row)).column_attrs:
        value = getattr(row, attribute.key)
        if isinstance(value, str) and "\0" in value:
            raise DataError(f"{_name(row)} {row.key!r} has a NUL character in {attribute.key}; remove it")


def _explain(error: IntegrityError, row: Versioned) -> str:
    said = str(error.orig).splitlines()[0]
    if "unique" in said.lower():
        return f"{_name(row)} {row.key!r} version {row.version} is there already; ids must be unique"
    return f"{_name(row)} {row.key!r} breaks a rule of the store: {said}"


def _name(row: Versioned) -> str:
    return type(row).__name__.lower()


def _check_split(session: Session, passage: Passage) -> None:
    other = session.scalars(
        current(Passage)
        .where(Passage.content_digest == passage.content_digest)
        .where(Passage.split != passage.split)
        .where(Passage.key != passage.key)
        .limit(1)
    ).first()
    if other is not None:
        raise DataError(
            f"passage {passage.key!r} is for {passage.split}, but its text stands in {other.split} as {other.key!r}; "
            "one text must be in one split"
        )


def extent_of(row: Passage | Answer) -> Extent:
    """How large a passage or answer is, for checking spans."""
    num_chars = len(row.text) if row.text else None
    return Extent(num_chars=num_chars, width=row.width, height=row.height, duration_s=row.duration_s)


def _check_content(session: Session, row: Versioned) -> None:
    match row:
        case Passage() if row.modality == "text" and not row.text.strip():
            raise DataError(f"passage {row.key!r} has no text; leave it out")
        case Question() if not row.text.strip():
            raise DataError(f"question {row.key!r} has no text; leave it out")
        case Answer():
            passage = _parent(session, Question, row.question_id, "question").passage
            for flaw in row.planted_flaws:
                _check_spans(flaw.get("answer_spans"), extent_of(row), f"answer span of {row.key!r}")
                _check_spans(flaw.get("passage_spans"), extent_of(passage), f"passage span of {row.key!r}")
        case Critique():
            if not row.text.strip() and not row.answer_spans:
                raise DataError(f"critique {row.key!r} has neither text nor a span; leave it out")
            answer = _parent(session, Answer, row.answer_id, "answer")
            _check_spans(row.answer_spans, extent_of(answer), f"answer span of critique {row.key!r}")
            _check_spans(row.passage_spans, extent_of(answer.question.passage), f"passage span of critique {row.key!r}")
        case Refinement() if row.critique_id is not None:
            critique = _parent(session, Critique, row.critique_id, "critique")
            if critique.answer_id != row.answer_id:
                raise DataError(f"refinement {row.key!r} is of another answer than its critique {critique.key!r}")


def _parent(session: Session, table: type[Thing], row_id: int | None, name: str) -> Thing:
    row = session.get(table, row_id) if row_id is not None else None
    if row is None:
        raise DataError(f"{name} {row_id} is not in the store; add it first")
    return row


def _check_spans(values: list[dict[str, Any]] | None, extent: Extent, name: str) -> None:
    for span in spans_from_json(values):
        check_span(span, extent, name)
