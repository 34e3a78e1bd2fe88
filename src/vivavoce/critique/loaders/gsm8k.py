"""Model solutions of GSM8K's test questions at four quality levels (Cobbe et al., arXiv 2110.14168; MIT).

The questions are GSM8K's test split, so they load as test. About 1% of the flags are wrong, say the authors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vivavoce.critique.loaders.records import (
    AnswerRecord,
    LoadNotes,
    PassageRecord,
    QuestionRecord,
    make_key,
    read_json_lines,
    text_of,
)
from vivavoce.critique.texts import digest_text
from vivavoce.errors import DataError

SOURCE = "gsm8k"
SYSTEMS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def load(path: Path, notes: LoadNotes) -> Iterator[PassageRecord]:
    """One record per question of `example_model_solutions.jsonl` (the file or its folder)."""
    file = path if path.is_file() else path / "example_model_solutions.jsonl"
    for place, row in read_json_lines(file, notes):
        try:
            yield _passage(place, row, notes)
        except (DataError, KeyError, TypeError) as error:
            notes.refuse(place, str(error) if isinstance(error, DataError) else f"lacks a field ({error!r})")


def _passage(place: str, row: Mapping[str, Any], notes: LoadNotes) -> PassageRecord:
    text = text_of(row, "question")
    key = f"{SOURCE}:{digest_text(text)[:20]}"
    reference = text_of(row, "ground_truth")
    answers = [
        AnswerRecord(
            key=make_key(SOURCE, key, "reference"),
            author_kind="person",
            author="reference",
            text=reference,
            is_correct=True,
        )
    ]
    for system in SYSTEMS:
        solution, is_correct = row[system]["solution"], row[system]["is_correct"]
        if not isinstance(is_correct, bool):
            raise DataError(f"is_correct of {system} is {is_correct!r}; need true or false")
        if not str(solution).strip():
            notes.count("solution without text")
        answers.append(
            AnswerRecord(
                key=make_key(SOURCE, key, system),
                author_kind="model",
                author=system,
                text=str(solution),
                is_correct=is_correct,
            )
        )
    question = QuestionRecord(
        key=make_key(SOURCE, key, "solve"), text="What is the answer, step by step?", answers=tuple(answers)
    )
    return PassageRecord(key=key, source=SOURCE, text=text, split="test", questions=(question,), place=place)
