"""SummEdits: seed summaries with small edits, each consistent with its document or not (Laban et al. 2023; Apache-2.0).

The seed is the clean twin; an inconsistent edit is a misleading answer whose flaw is where it differs from the seed.
Labels come from `label` alone: consistent rows carry edit types too.
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

SOURCE = "summedits"


def load(path: Path, notes: LoadNotes) -> Iterator[PassageRecord]:
    """One record per source document of every `summedits_*.json` in a folder, or of one such file."""
    files = [path] if path.is_file() else sorted(path.glob("summedits_*.json"))
    if not files:
        raise DataError(f"{path} holds no summedits_*.json")
    for file in files:
        documents: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        seen: dict[str, str] = {}
        for place, row in read_json_rows(file, notes):
            try:
                documents_key = digest_text(text_of(row, "doc"))
                require_texts(row, "summary", "original_summary")
                if row["label"] not in (0, 1):
                    raise DataError(f"label is {row['label']!r}; need 0 or 1")
                row_id = str(row["id"])
            except (DataError, KeyError) as error:
                notes.refuse(place, str(error))
                continue
            if row_id in seen:
                notes.refuse(place, f"id {row_id!r} stands at {seen[row_id]} already")
                continue
            seen[row_id] = place
            documents.setdefault(documents_key, []).append((place, row))
        for rows in documents.values():
            yield _passage(file.stem.removeprefix("summedits_"), rows, notes)


def _passage(domain: str, rows: list[tuple[str, Mapping[str, Any]]], notes: LoadNotes) -> PassageRecord:
    place, first = rows[0]
    key = f"{SOURCE}:{digest_text(first['doc'])[:20]}"
    answers: dict[str, AnswerRecord] = {}
    for _, row in rows:
        seed_key = make_key(SOURCE, key, row["original_summary"])
        if seed_key not in answers:
            answers[seed_key] = AnswerRecord(
                key=seed_key,
                author_kind="model",
                author="summedits seed",
                text=row["original_summary"],
                is_correct=True,
            )
        if row["summary"] == row["original_summary"]:
            if row["label"] == 0:
                notes.count("seed labelled inconsistent: left out")
            continue
        edit = _edit(row, seed_key)
        if edit.key in answers:
            notes.count("same edit twice: the first is kept")
        else:
            answers[edit.key] = edit
    split = "test" if first.get("split") == "test" else split_by_text(first["doc"])
    if first.get("split") == "evaluation" and split == "test":
        split = "validation"  # the published test documents stay the only test documents
    question = QuestionRecord(
        key=make_key(SOURCE, key, "summary"), text="What does the text say?", answers=tuple(answers.values())
    )
    return PassageRecord(
        key=key,
        source=SOURCE,
        text=first["doc"],
        split=split,
        questions=(question,),
        details={"domain": domain},
        place=place,
    )


def _edit(row: Mapping[str, Any], seed_key: str) -> AnswerRecord:
    edits = find_edits(row["original_summary"], row["summary"])
    flaw = PlantedFlaw(
        text=" ".join(describe_edit(now, before) for _, now, before in edits),
        category="accuracy",
        answer_spans=tuple(span for span, _, _ in edits),
    )
    is_correct = row["label"] == 1
    return AnswerRecord(
        key=make_key(SOURCE, seed_key, row["summary"]), author_kind="model" if is_correct else "misleading",
        author="summedits edit", text=row["summary"], parent_key=seed_key, is_correct=is_correct,
        planted_flaws=() if is_correct or not edits else (flaw,),
        details={"id": row["id"], "edit_types": row.get("edit_types") or []},
    )  # fmt: skip
