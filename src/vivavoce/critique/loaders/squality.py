"""SQuALITY's human evaluation: highlights and comments on summaries of long stories (arXiv 2205.11465; CC BY 4.0).

Expects the repository's own two files (see `squality_release`), or a table made from them: `human_critiques.jsonl` (one row
per highlight) and `passages.jsonl`. An empty comment is a span label, not a
critique in words; exact duplicate rows are dropped; a highlight whose place is unknown or ambiguous keeps its text only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
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
    require_texts,
    split_by_text,
    text_of,
)
from vivavoce.critique.loaders.squality_release import RESPONSES, Placed, read_rows, read_stories
from vivavoce.critique.spans import find_text_span
from vivavoce.errors import DataError

SOURCE = "squality"


def load(path: Path, notes: LoadNotes) -> Iterator[PassageRecord]:
    """One record per story, with every question, summary, highlight and rating."""
    if (path / RESPONSES).is_file():
        stories = read_stories(path, notes)
        placed, found = stories.values(), read_rows(path, stories, notes)
    else:
        placed = read_json_lines(path / "passages.jsonl", notes)
        found = read_json_lines(path / "human_critiques.jsonl", notes)
    rows = _gather(found, notes)
    for place, story in placed:
        try:
            text = text_of(story, "document")
            yield PassageRecord(
                key=f"{SOURCE}:{story['passage_id']}", source=SOURCE, text=text, split=split_by_text(text), place=place,
                questions=tuple(_questions(str(story["passage_id"]), rows.get(str(story["passage_id"]), []), notes)),
                details={"license": story.get("license", "")},
            )  # fmt: skip
        except (DataError, KeyError) as error:
            notes.refuse(place, str(error))


def _gather(found: Iterable[Placed], notes: LoadNotes) -> dict[str, list[Mapping[str, Any]]]:
    """Highlights by story, exact repeats dropped."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    seen = set[str]()
    for place, row in found:
        plain = json.dumps(row, sort_keys=True)
        if plain in seen:
            notes.count("duplicate row dropped")
            continue
        seen.add(plain)
        try:
            require_texts(row, "answer", "question", "system")
            rows.setdefault(str(row["passage_id"]), []).append(row)
        except (DataError, KeyError) as error:
            notes.refuse(place, str(error))
    return rows


def _questions(passage_id: str, rows: list[Mapping[str, Any]], notes: LoadNotes) -> Iterator[QuestionRecord]:
    for question in dict.fromkeys(row["question"] for row in rows):
        mine = [row for row in rows if row["question"] == question]
        answers = [
            _answer(passage_id, question, [row for row in mine if row["system"] == system], notes)
            for system in dict.fromkeys(row["system"] for row in mine)
        ]
        yield QuestionRecord(
            key=make_key(SOURCE, passage_id, question), text=question, is_topic_based=True, answers=tuple(answers)
        )


def _answer(passage_id: str, question: str, rows: list[Mapping[str, Any]], notes: LoadNotes) -> AnswerRecord:
    first = rows[0]
    key = make_key(SOURCE, passage_id, question, first["system"])
    reviews = {str(row["worker"]): row for row in rows}
    ratings = [
        RatingRecord(rater=worker, scale=scale, value=float(row[name]))
        for worker, row in reviews.items()
        for name, scale in (
            ("correctness", "correctness_0_100"), ("overall", "overall_0_100"), ("overall_rank", "overall_rank_low_best"),
        )
        if row.get(name) is not None
    ]  # fmt: skip
    critiques = [_critique(row, f"{key}.{number}", notes) for number, row in enumerate(rows)]
    return AnswerRecord(
        key=key, author_kind="person" if first["system"] == "human" else "model", author=first["system"],
        text=first["answer"], is_correct=None, ratings=tuple(ratings),
        critiques=tuple(critique for critique in critiques if critique is not None),
    )  # fmt: skip


def _critique(row: Mapping[str, Any], key: str, notes: LoadNotes) -> CritiqueRecord | None:
    comment, selection = (row.get("critique") or "").strip(), row.get("selection") or ""
    span = find_text_span(selection, row["answer"])
    if span is None:
        notes.count("highlight absent from the answer or ambiguous: kept without a span")
    if not comment:
        notes.count("highlight without comment: a span label")
        if span is None:
            notes.count("neither comment nor place: left out")
            return None
    return CritiqueRecord(
        key=key, author_kind="person", author=str(row["worker"]), text=comment,
        answer_spans=(span,) if span else (), details={"selection": selection},
    )  # fmt: skip
