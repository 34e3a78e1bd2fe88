"""BIG-Bench-Mistake: reasoning traces with the first wrong step located (Tyen et al., arXiv 2311.08516; Apache-2.0).

A trace with a mistake can still end right and the other way round, so both are kept: `is_correct` is true only where
no step is wrong and the answer is right.
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
    make_key,
    read_json_lines,
    split_by_text,
    text_of,
)
from vivavoce.critique.spans import TextSpan
from vivavoce.critique.texts import digest_text
from vivavoce.errors import DataError

SOURCE = "bigbench_mistake"
QUESTIONS = {
    "dyck_languages": "Which brackets, in order, close what is open?",
    "logical_deduction": "Which option is right?",
    "multistep_arithmetic": "What is the value?",
    "tracking_shuffled_objects": "Which option is right?",
    "word_sorting": "What are the words in alphabetical order?",
}


def load(path: Path, notes: LoadNotes) -> Iterator[PassageRecord]:
    """One record per trace of the five task files in a folder, or of one such file."""
    files = [path] if path.is_file() else [path / f"{task}.jsonl" for task in QUESTIONS]
    for file in files:
        if file.stem not in QUESTIONS:
            raise DataError(f"task {file.stem!r} is not one of {', '.join(QUESTIONS)}")
        for place, row in read_json_lines(file, notes):
            try:
                yield _passage(file.stem, place, row)
            except (DataError, KeyError, TypeError) as error:
                notes.refuse(place, str(error) if isinstance(error, DataError) else f"lacks a field ({error!r})")


def _passage(task: str, place: str, row: Mapping[str, Any]) -> PassageRecord:
    text, steps, mistake_idx = text_of(row, "input"), row["steps"], row["mistake_index"]
    if not steps or not all(isinstance(step, str) for step in steps):
        raise DataError("steps are not a list of texts")
    if mistake_idx is not None and not 0 <= mistake_idx < len(steps):
        raise DataError(f"mistake_index is {mistake_idx}; need 0 to {len(steps) - 1}, or null")
    key = f"{SOURCE}:{digest_text(text)[:20]}"
    lines = [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    answer = "\n".join([*lines, f"Answer: {row['answer']}"])
    answer_key = make_key(SOURCE, key, answer)
    critiques = list[CritiqueRecord]()
    if mistake_idx is not None:
        begin = sum(len(line) + 1 for line in lines[:mistake_idx])
        critiques.append(
            CritiqueRecord(
                key=f"{answer_key}.mistake", author_kind="person", author="annotators", is_valid=True, category="accuracy",
                text=f"The first mistake is in step {mistake_idx + 1}.",
                answer_spans=(TextSpan(begin, begin + len(lines[mistake_idx])),),
            )
        )  # fmt: skip
    is_right = str(row["answer"]).strip() == str(row["target"]).strip()
    record = AnswerRecord(
        key=answer_key, author_kind="model", author="palm2", text=answer, critiques=tuple(critiques),
        is_correct=is_right and mistake_idx is None,
        details={"target": row["target"], "is_answer_right": is_right, "mistake_index": mistake_idx},
    )  # fmt: skip
    question = QuestionRecord(key=make_key(SOURCE, key, task), text=QUESTIONS[task], answers=(record,))
    return PassageRecord(
        key=key,
        source=SOURCE,
        text=text,
        split=split_by_text(text),
        questions=(question,),
        details={"task": task},
        place=place,
    )
