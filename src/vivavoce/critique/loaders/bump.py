"""BUMP: human-planted minimal unfaithful edits of reference summaries (Ma et al., ACL 2023; MIT).

The category is the adjudicated error type where there is one (task 1), the requested type otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vivavoce.critique.loaders.records import (
    AnswerRecord,
    LoadNotes,
    PassageRecord,
    PlantedFlaw,
    QuestionRecord,
    make_key,
    read_json_rows,
    require_texts,
    split_by_text,
    text_of,
)
from vivavoce.critique.texts import describe_edit, digest_text, find_edits
from vivavoce.errors import DataError

SOURCE = "bump"


def load(path: Path, notes: LoadNotes) -> Iterator[PassageRecord]:
    """One record per article of `task1_dataset.json` and `task2_dataset.json`, or of one such file."""
    files = [path] if path.is_file() else [path / f"task{number}_dataset.json" for number in (1, 2)]
    articles: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for file in files:
        seen: dict[str, str] = {}
        for place, row in read_json_rows(file, notes):
            try:
                key = digest_text(text_of(row, "article"))
                require_texts(row, "reference_summary", "edited_summary")
                row_id = str(row["id"])
            except (DataError, KeyError) as error:
                notes.refuse(place, str(error))
                continue
            if row_id in seen:
                notes.refuse(place, f"id {row_id!r} stands at {seen[row_id]} already")
                continue
            seen[row_id] = place
            articles.setdefault(key, []).append((place, row | {"task": file.stem.removesuffix("_dataset")}))
    for rows in articles.values():
        yield _passage(rows, notes)


def _passage(rows: list[tuple[str, Mapping[str, Any]]], notes: LoadNotes) -> PassageRecord:
    place, first = rows[0]
    key = f"{SOURCE}:{digest_text(first['article'])[:20]}"
    answers: dict[str, AnswerRecord] = {}
    for _, row in rows:
        parent_key = make_key(SOURCE, key, row["reference_summary"])
        answers.setdefault(
            parent_key,
            AnswerRecord(
                key=parent_key, author_kind="person", author="reference", text=row["reference_summary"], is_correct=True
            ),
        )
        edits = find_edits(row["reference_summary"], row["edited_summary"])
        edited_key = make_key(SOURCE, parent_key, row["edited_summary"])
        if not edits or edited_key in answers:
            notes.count("edit equal to the reference or to another edit: left out")
            continue
        kind = (row.get("corrected_error_type") or row.get("error_type") or "").removesuffix(" Error").lower()
        if row.get("corrected_error_type") not in (None, row.get("error_type")):
            notes.count("adjudicated type differs from the requested one")
        flaw = PlantedFlaw(
            text=" ".join(describe_edit(now, before) for _, now, before in edits), category=kind or None,
            answer_spans=tuple(span for span, _, _ in edits),
        )  # fmt: skip
        answers[edited_key] = AnswerRecord(
            key=edited_key, author_kind="misleading", author="bump annotator", text=row["edited_summary"],
            parent_key=parent_key, planted_flaws=(flaw,), is_correct=False,
            details={"id": row["id"], "task": row["task"], "scores": row.get("scores") or {}},
        )  # fmt: skip
    question = QuestionRecord(
        key=make_key(SOURCE, key, "summary"), text="What does the text say?", answers=tuple(answers.values())
    )
    return PassageRecord(
        key=key,
        source=SOURCE,
        text=first["article"],
        split=split_by_text(first["article"]),
        questions=(question,),
        place=place,
    )
