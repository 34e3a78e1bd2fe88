"""The format of the data released with the self-critiquing paper: base, critiques and helpfulness files.

Source: reference schema measured on real records; field `rankings` of answers has 0 as worst, of critiques 0 as best.
One passage stands under many record ids, so passages and questions are keyed by their text, answers by record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vivavoce.critique.loaders.records import (
    AnswerRecord,
    CritiqueRecord,
    LoadNotes,
    PassageRecord,
    QuestionRecord,
    RatingRecord,
    make_key,
    read_json_lines,
    text_of,
)
from vivavoce.critique.spans import Span, span_from_json
from vivavoce.critique.texts import digest_text
from vivavoce.errors import DataError

SOURCE = "openai"
KINDS = ("base", "critiques", "helpfulness")
_PREFIX = "Answer the following question based on the above passage:"


def load(path: Path, notes: LoadNotes) -> Iterator[PassageRecord]:
    """Records of a release folder (`base/train.jsonl.gz`, ...), or of one of its files."""
    files = [path] if path.is_file() else sorted(
        file for kind in KINDS for file in (path / kind).glob("*.jsonl*") if file.name.startswith(("train", "test"))
    )  # fmt: skip
    if not files:
        raise DataError(f"{path} holds none of {', '.join(f'{kind}/train.jsonl.gz' for kind in KINDS)}")
    for file in files:
        for place, row in read_json_lines(file, notes):
            try:
                yield _passage(row, f"{file.parent.name}/{place}", notes)
            except (DataError, KeyError, TypeError, ValueError) as error:
                notes.refuse(f"{file.parent.name}/{place}", _say(error))


def _say(error: Exception) -> str:
    return str(error) if isinstance(error, DataError) else f"lacks or breaks a field ({error!r})"


def _passage(row: Mapping[str, Any], place: str, notes: LoadNotes) -> PassageRecord:
    data = row["data"]
    passage = data["passage"]
    text = text_of(passage, "text")
    split = row.get("split") or ("test" if "test" in place else "train")
    record_id = str(row["id"])
    key = f"{SOURCE}:{digest_text(text)[:20]}"
    envelope = {name: row.get(name) for name in ("id", "source_id", "time") if row.get(name) is not None}
    labeler = str(row.get("labeler") or "unknown")
    is_topic_based = bool(row.get("is_topic_based_summarization"))
    questions = tuple(
        _question(question, key, f"{record_id}.{number}", is_topic_based, labeler, envelope, notes)
        for number, question in enumerate(data["questions"])
    )
    return PassageRecord(
        key=key,
        source=SOURCE,
        text=text,
        split=str(split),
        title=passage.get("title"),
        questions=questions,
        place=place,
    )


def _question(
    row: Mapping[str, Any],
    passage_key: str,
    place: str,
    is_topic_based: bool,
    labeler: str,
    envelope: Any,
    notes: LoadNotes,
) -> QuestionRecord:
    text = text_of(row, "question")
    if _PREFIX in text:
        text = text.split(_PREFIX, 1)[1].strip()
    if "answers" not in row:
        answers = [{"answer": row["answer"], "is_reference": True}]
    else:
        answers = list(row["answers"])
    rankings = row.get("rankings") or []
    records = list[AnswerRecord]()
    for number, answer in enumerate(answers):
        ranks_answers = "feedback" in answer
        rank = rankings[number] if ranks_answers and number < len(rankings) else None
        records.append(_answer(answer, f"{SOURCE}:{place}.{number}", labeler, rank, row, envelope, notes))
    return QuestionRecord(
        key=make_key(SOURCE, passage_key, digest_text(text)),
        text=text,
        is_topic_based=is_topic_based,
        answers=tuple(records),
    )


def _answer(
    row: Mapping[str, Any],
    key: str,
    labeler: str,
    rank: Any,
    question: Mapping[str, Any],
    envelope: Any,
    notes: LoadNotes,
) -> AnswerRecord:
    text = row["answer"] if isinstance(row["answer"], str) else ""
    if not text.strip():
        # the right answer to a topic the passage does not cover is empty; it is kept, and counted
        notes.count("answer without text")
    feedback = row.get("feedback") or {}
    ratings = list[RatingRecord]()
    if feedback.get("rating") is not None:
        rating = float(feedback["rating"])
        if not 1 <= rating <= 7:
            raise DataError(f"rating is {rating}; need 1 to 7")
        ratings.append(RatingRecord(rater=labeler, scale="quality_1_7", value=rating))
    if rank is not None:
        ratings.append(RatingRecord(rater=labeler, scale="answer_rank_high_best", value=float(rank)))
    critiques = [
        _own_critique(critique, f"{key}.c{number}", labeler, notes, text)
        for number, critique in enumerate(feedback.get("critiques") or [])
    ]
    if "critiques" in row:
        critiques += _judged_critiques(row, question, key, labeler, notes)
    for name in ("is_critiqueable", "has_better_critique"):
        if question.get(name) is not None:
            ratings.append(RatingRecord(rater=labeler, scale=name, value=float(question[name])))
    if "critiques" in row:
        _count_branch(row, question, notes)
    if question.get("new_critique"):
        critiques.append(_own_critique(question["new_critique"], f"{key}.new", labeler, notes, text))
    is_critiqueable = question.get("is_critiqueable")
    is_flawed = bool(critiques) and any(c.author_kind == "person" or c.is_helpful for c in critiques)
    is_correct = False if is_flawed or is_critiqueable is True else None
    if is_correct is None and (is_critiqueable is False or feedback.get("rating") == 7):
        is_correct = True
    author_kind = "person" if row.get("is_reference") else "model"
    return AnswerRecord(
        key=key, author_kind=author_kind, author=labeler if author_kind == "person" else "release model", text=text,
        is_correct=is_correct, critiques=tuple(critiques), ratings=tuple(ratings), details=dict(envelope),
    )  # fmt: skip


def _own_critique(row: Mapping[str, Any], key: str, labeler: str, notes: LoadNotes, answer: str) -> CritiqueRecord:
    severity = row.get("severity")
    if severity is not None and severity not in (1, 2, 3, 4):
        notes.count("severity outside 1 to 4 dropped")
        severity = None
    return CritiqueRecord(
        key=key, author_kind="person", author=labeler, text=text_of(row, "text"), category=row.get("category"),
        category_text=row.get("category_text"), severity=severity, is_valid=None, is_helpful=True,
        passage_spans=_quotes(row.get("text_quotes"), None, notes), refinement=row.get("refinement") or None,
        answer_spans=_quotes(row.get("response_quotes"), len(answer), notes),
    )  # fmt: skip


def _quotes(values: Any, limit: int | None, notes: LoadNotes) -> tuple[Span, ...]:
    spans = list[Span]()
    for value in values or []:
        span = span_from_json({"begin": value["begin"], "end": value["end"]})
        end = getattr(span, "end", 0)
        if getattr(span, "begin", 0) >= end or (limit is not None and end > limit):
            notes.count("quote out of range dropped")
            continue
        spans.append(span)
    return tuple(spans)


def _judged_critiques(
    row: Mapping[str, Any], question: Mapping[str, Any], key: str, labeler: str, notes: LoadNotes
) -> list[CritiqueRecord]:
    rankings = question.get("rankings") or []
    records = list[CritiqueRecord]()
    for number, critique in enumerate(row["critiques"]):
        is_helpful = (critique.get("feedback") or {}).get("helpful")
        rank = rankings[number] if number < len(rankings) else None
        if is_helpful and rank is None:
            notes.count("helpful critique without rank")
        if not is_helpful and rank is not None:
            notes.count("unhelpful critique with rank: rank dropped")
            rank = None
        ratings = (
            () if is_helpful is None else (RatingRecord(rater=labeler, scale="is_helpful", value=float(is_helpful)),)
        )
        records.append(
            CritiqueRecord(
                key=f"{key}.m{number}", author_kind="model", author="release model", text=text_of(critique, "critique"),
                is_helpful=is_helpful, rank=rank, ratings=ratings,
            )
        )  # fmt: skip
    return records


def _count_branch(row: Mapping[str, Any], question: Mapping[str, Any], notes: LoadNotes) -> None:
    asked = [question.get(name) is not None for name in ("has_better_critique", "is_critiqueable")]
    if all(asked):
        notes.count("both follow-up questions answered")
    if not any(asked):
        notes.count("neither follow-up question answered")
