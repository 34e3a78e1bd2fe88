"""Records into the store: one savepoint per record, repeats skipped, refusals named, nothing counted twice."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from vivavoce.critique.loaders.records import (
    AnswerRecord,
    CritiqueRecord,
    LoadNotes,
    PassageRecord,
    PlantedFlaw,
    QuestionRecord,
    RatingRecord,
)
from vivavoce.critique.spans import spans_to_json
from vivavoce.critique.store import (
    Answer,
    Critique,
    Passage,
    Question,
    Rating,
    Refinement,
    Store,
    Versioned,
    add_or_skip,
    find,
    record_event,
)
from vivavoce.errors import ConfigError, DataError

FORMATS = ("openai_release", "squality", "summedits", "bump", "bigbench_mistake", "gsm8k")


@dataclass(slots=True)
class ImportReport:
    """What an import did. `added` and `repeated` count rows by table."""

    added: dict[str, int] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)
    refused: list[tuple[str, str]] = field(default_factory=list)
    oddities: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON; every refusal with its place."""
        refused = [{"place": place, "reason": reason} for place, reason in self.refused]
        return {"added": self.added, "repeated": self.repeated, "refused": refused, "oddities": self.oddities}


def import_path(store: Store, format_name: str, path: Path, *, by: str = "import") -> ImportReport:
    """Read `path` in a known format into the store.

    Raises: ConfigError if the format is unknown, DataError if a file is missing or broken as a whole.
    """
    if format_name not in FORMATS:
        raise ConfigError(f"format {format_name!r} is not one of {', '.join(FORMATS)}")
    loader = importlib.import_module(f"vivavoce.critique.loaders.{format_name}")
    notes = LoadNotes()
    return import_records(store, loader.load(path, notes), notes, by=by)


def import_records(
    store: Store, records: Iterable[PassageRecord], notes: LoadNotes, *, by: str = "import"
) -> ImportReport:
    """Write records in one transaction; a record that breaks a rule is left out whole, and named."""
    report = ImportReport(refused=notes.refused, oddities=notes.oddities)
    with store.session() as session:
        for record in records:
            tally = _Tally()
            try:
                with session.begin_nested():
                    _Writer(session, by, tally).write_passage(record)
            except DataError as error:
                notes.refuse(record.place or record.key, str(error))
                continue
            tally.pour(report)
            # rows stay in the identity map otherwise, and a release has tens of thousands
            session.expunge_all()
        record_event(session, by, "import", payload={"added": report.added, "refused": len(report.refused)})
    return report


class _Tally:
    """Counts of one record, poured into the report only if the record is kept."""

    def __init__(self) -> None:
        self.added: dict[str, int] = {}
        self.repeated: dict[str, int] = {}

    def count(self, row: Versioned, was_added: bool) -> None:
        counts = self.added if was_added else self.repeated
        name = str(row.__tablename__)  # type: ignore[attr-defined]
        counts[name] = counts.get(name, 0) + 1

    def pour(self, report: ImportReport) -> None:
        for ours, theirs in ((self.added, report.added), (self.repeated, report.repeated)):
            for name, count in ours.items():
                theirs[name] = theirs.get(name, 0) + count


class _Writer:
    def __init__(self, session: Session, by: str, tally: _Tally) -> None:
        self.session, self.by, self.tally = session, by, tally

    def _put(self, row: Any) -> Any:
        kept, was_added = add_or_skip(self.session, row)
        self.tally.count(kept, was_added)
        return kept

    def write_passage(self, record: PassageRecord) -> None:
        passage = self._put(
            Passage(
                key=record.key, created_by=self.by, source=record.source, text=record.text, split=record.split,
                title=record.title, details=dict(record.details),
            )
        )  # fmt: skip
        for question in record.questions:
            self._write_question(question, passage)

    def _write_question(self, record: QuestionRecord, passage: Passage) -> None:
        # the same question under another record may lack the topic flag; the first one stands
        question = find(self.session, Question, record.key)
        if question is None or question.passage_id != passage.id:
            question = self._put(
                Question(
                    key=record.key, created_by=self.by, passage_id=passage.id, text=record.text,
                    is_topic_based=record.is_topic_based, details=dict(record.details),
                )
            )  # fmt: skip
        else:
            self.tally.count(question, False)
        rows: dict[str, Answer] = {}
        for answer in record.answers:
            rows[answer.key] = self._write_answer(answer, question, rows)

    def _write_answer(self, record: AnswerRecord, question: Question, rows: dict[str, Answer]) -> Answer:
        if record.parent_key is not None and record.parent_key not in rows:
            raise DataError(f"answer {record.key!r} names a parent {record.parent_key!r} that does not come before it")
        answer = self._put(
            Answer(
                key=record.key, created_by=self.by, question_id=question.id, author_kind=record.author_kind,
                author=record.author, text=record.text, is_correct=record.is_correct,
                parent_id=rows[record.parent_key].id if record.parent_key else None,
                planted_flaws=[flaw_to_json(flaw) for flaw in record.planted_flaws], details=dict(record.details),
                modality=record.modality, media_path=record.media_path, media_digest=record.media_digest,
                width=record.width, height=record.height, duration_s=record.duration_s,
            )
        )  # fmt: skip
        self._write_ratings(record.key, record.ratings, answer_id=answer.id)
        parent_id: int | None = None
        for critique in record.critiques:
            parent_id = self._write_critique(critique, answer, parent_id)
        return answer

    def _write_critique(self, record: CritiqueRecord, answer: Answer, parent_id: int | None) -> int | None:
        critique = self._put(
            Critique(
                key=record.key, created_by=self.by, answer_id=answer.id, author_kind=record.author_kind,
                author=record.author, text=record.text, category=record.category, category_text=record.category_text,
                severity=record.severity, answer_spans=spans_to_json(record.answer_spans),
                passage_spans=spans_to_json(record.passage_spans), is_valid=record.is_valid,
                is_helpful=record.is_helpful, rank=record.rank, details=dict(record.details),
            )
        )  # fmt: skip
        self._write_ratings(record.key, record.ratings, critique_id=critique.id)
        if record.refinement is None:
            return parent_id
        refinement = self._put(
            Refinement(
                key=f"{record.key}.refined", created_by=self.by, answer_id=answer.id, critique_id=critique.id,
                parent_id=parent_id, mode="conditional", author_kind="person", author=record.author,
                text=record.refinement,
            )
        )  # fmt: skip
        return refinement.id

    def _write_ratings(self, key: str, ratings: tuple[RatingRecord, ...], **subject: int) -> None:
        for rating in ratings:
            self._put(
                Rating(
                    key=f"{key}.{rating.scale}.{rating.rater}"[:200], created_by=self.by, rater=rating.rater,
                    scale=rating.scale, value=rating.value, **subject,
                )
            )  # fmt: skip


def flaw_to_json(flaw: PlantedFlaw) -> dict[str, Any]:
    """A planted flaw as the store keeps it."""
    return {
        "text": flaw.text, "category": flaw.category, "severity": flaw.severity,
        "answer_spans": spans_to_json(flaw.answer_spans), "passage_spans": spans_to_json(flaw.passage_spans),
    }  # fmt: skip
