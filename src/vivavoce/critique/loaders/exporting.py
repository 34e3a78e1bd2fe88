"""The store's current things as records: what training and evaluation read, whatever they were imported from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from vivavoce.critique.loaders.records import (
    AnswerRecord,
    CritiqueRecord,
    PassageRecord,
    PlantedFlaw,
    QuestionRecord,
    RatingRecord,
)
from vivavoce.critique.spans import spans_from_json
from vivavoce.critique.store import Answer, Critique, Passage, Question, Rating, Refinement, Store, current


def export_records(store: Store, *, split: str | None = None, sources: Sequence[str] = ()) -> Iterator[PassageRecord]:
    """Records of one split and of some sources (all when not given), in the order they were added.

    A source may name a family by its beginning: `synthetic/`.
    """
    with store.session() as session:
        query = current(Passage).order_by(Passage.id)
        if split is not None:
            query = query.where(Passage.split == split)
        for passage in session.scalars(query):
            if sources and not any(passage.source.startswith(source) for source in sources):
                continue
            questions = session.scalars(
                current(Question).where(Question.passage_id == passage.id).order_by(Question.id)
            )
            yield PassageRecord(
                key=passage.key, source=passage.source, text=passage.text, split=passage.split, title=passage.title,
                details=passage.details, questions=tuple(_question(session, question) for question in questions),
            )  # fmt: skip


def _question(session: Session, question: Question) -> QuestionRecord:
    answers = session.scalars(current(Answer).where(Answer.question_id == question.id).order_by(Answer.id))
    return QuestionRecord(
        key=question.key, text=question.text, is_topic_based=question.is_topic_based, details=question.details,
        answers=tuple(_answer(session, answer) for answer in answers),
    )  # fmt: skip


def _answer(session: Session, answer: Answer) -> AnswerRecord:
    critiques = session.scalars(current(Critique).where(Critique.answer_id == answer.id).order_by(Critique.id)).all()
    refinements = session.scalars(
        current(Refinement).where(Refinement.answer_id == answer.id).where(Refinement.mode == "conditional")
    )
    refined = {refinement.critique_id: refinement.text for refinement in refinements}
    return AnswerRecord(
        key=answer.key, author_kind=answer.author_kind, author=answer.author, text=answer.text,
        parent_key=answer.parent.key if answer.parent else None, is_correct=answer.is_correct, details=answer.details,
        planted_flaws=tuple(flaw_from_json(flaw) for flaw in answer.planted_flaws),
        critiques=tuple(_critique(session, critique, refined.get(critique.id)) for critique in critiques),
        ratings=_ratings(session, Rating.answer_id == answer.id), modality=answer.modality,
        media_path=answer.media_path, media_digest=answer.media_digest, width=answer.width, height=answer.height,
        duration_s=answer.duration_s,
    )  # fmt: skip


def _critique(session: Session, critique: Critique, refinement: str | None) -> CritiqueRecord:
    return CritiqueRecord(
        key=critique.key, author_kind=critique.author_kind, author=critique.author, text=critique.text,
        category=critique.category, category_text=critique.category_text, severity=critique.severity,
        answer_spans=spans_from_json(critique.answer_spans), passage_spans=spans_from_json(critique.passage_spans),
        is_valid=critique.is_valid, is_helpful=critique.is_helpful, rank=critique.rank, refinement=refinement,
        ratings=_ratings(session, Rating.critique_id == critique.id), details=critique.details,
    )  # fmt: skip


def _ratings(session: Session, condition: Any) -> tuple[RatingRecord, ...]:
    rows = session.scalars(current(Rating).where(condition).order_by(Rating.id))
    return tuple(RatingRecord(rater=row.rater, scale=row.scale, value=row.value) for row in rows)


def flaw_from_json(value: dict[str, Any]) -> PlantedFlaw:
    """A planted flaw from the store's JSON."""
    return PlantedFlaw(
        text=value.get("text") or "", category=value.get("category"), severity=value.get("severity"),
        answer_spans=spans_from_json(value.get("answer_spans")), passage_spans=spans_from_json(value.get("passage_spans")),
    )  # fmt: skip


def count_records(store: Store) -> dict[str, int]:
    """Current passages by source."""
    with store.session() as session:
        sources = session.scalars(select(current(Passage).subquery().c.source)).all()
    return {source: sources.count(source) for source in sorted(set(sources))}
