"""The two files of the SQuALITY repository as rows: reviews of three systems' summaries, joined with stories and questions.

`human-eval/all-responses.jsonl` names questions by their place ("0", "1", ...) in the story's list in `v1-3/txt/test.jsonl`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vivavoce.critique.loaders.records import LoadNotes, read_json_lines, text_of
from vivavoce.errors import DataError

RESPONSES = "human-eval/all-responses.jsonl"
STORIES = "v1-3/txt/test.jsonl"
Placed = tuple[str, Mapping[str, Any]]


def read_stories(folder: Path, notes: LoadNotes) -> dict[str, Placed]:
    """Place and row of each story by its id: `passage_id`, `license`, `document`, `questions` (texts in order)."""
    stories: dict[str, Placed] = {}
    for place, row in read_json_lines(folder / STORIES, notes):
        try:
            about = row["metadata"]
            passage_id = str(about["passage_id"])
            questions = [text_of(question, "question_text") for question in row["questions"]]
        except (DataError, KeyError, TypeError) as error:
            notes.refuse(place, _say(error))
            continue
        if passage_id in stories:
            notes.refuse(place, f"story {passage_id} is there already ({stories[passage_id][0]})")
            continue
        story = {"passage_id": passage_id, "license": about.get("license", ""), "document": row.get("document")}
        stories[passage_id] = (place, {**story, "questions": questions})
    return stories


def read_rows(folder: Path, stories: Mapping[str, Placed], notes: LoadNotes) -> Iterator[Placed]:
    """(place, row) of each highlight, as `squality.load` takes them; a story without its row here is refused by place."""
    for place, passage in read_json_lines(folder / RESPONSES, notes):
        try:
            passage_id = str(passage["passage-id"])
            if passage_id not in stories:
                raise DataError(f"story {passage_id} is not in {STORIES}")
            questions = stories[passage_id][1]["questions"]
            rows = [
                row
                for number, systems in passage["questions"].items()
                for row in _highlights(passage_id, questions[int(number)], systems)
            ]
        except (DataError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            notes.refuse(place, _say(error))
            continue
        yield from ((place, row) for row in rows)


def _highlights(passage_id: str, question: str, systems: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for system, judged in systems.items():
        for review in judged["reviews"]:
            for note in review["annotations"]:
                yield {
                    "passage_id": passage_id,
                    "question": question,
                    "system": system,
                    "answer": judged["response"],
                    "worker": str(review["worker_id"]),
                    "critique": " ".join(note["annotation"]),
                    "selection": note["selection"],
                    "correctness": review.get("correctness-rating"),
                    "overall": review.get("overall-rating"),
                    "overall_rank": review.get("overall-rank"),
                }


def _say(error: Exception) -> str:
    return str(error) if isinstance(error, DataError) else f"lacks or breaks a field ({error!r})"
