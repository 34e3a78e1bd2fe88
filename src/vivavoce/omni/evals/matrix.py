"""The any-to-any matrix: every mix of inputs against every mix of outputs, on held-out items.

A cell's items come from its tasks by their shares, each item once. The baseline beside each score is what one gets
without looking: the best constant reply of the training split for words, another item's true drawing for pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from vivavoce.content import Conversation, Image, Message
from vivavoce.data.curriculum import INPUTS, OUTPUTS, iterate_cell, list_cell_tasks
from vivavoce.data.example import Example
from vivavoce.data.pools import TASKS, list_items
from vivavoce.grading import Graded, count_coverage
from vivavoce.omni.evals.judging import Judges, grade_answer
from vivavoce.stats import Estimate, estimate_proportion

AnswerAll = Callable[[Sequence[Conversation], frozenset[str]], Sequence[Message]]
"""Answers of the model under test to conversations that end with the user, with these outputs."""
FillSpeech = Callable[[Example], Conversation]
"""The example's conversation with everything spoken rendered, the right answer last."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One item, graded."""

    example: Example
    grade: Any
    baseline: float


def run_matrix(
    answer_all: AnswerAll,
    fill: FillSpeech,
    judges: Judges,
    *,
    items_per_cell: int,
    seed: int,
    on_cell: Callable[[dict[str, Any]], None] = lambda cell: None,
) -> dict[str, Any]:
    """Score every cell. Result: `{"cells": [...], "tasks": [...]}`, see docs/formats.md."""
    cells, tasks = [], []
    for given in INPUTS:
        for wanted in OUTPUTS:
            examples = list(islice(iterate_cell(given, wanted, "test", seed), items_per_cell))
            scored = score_examples(examples, answer_all, fill, judges)
            cells.append(_describe(given, wanted, "+".join(list_cell_tasks(given, wanted)), scored))
            tasks.extend(_describe(given, wanted, task, of_task) for task, of_task in _by_task(scored))
            on_cell(cells[-1])
    return {"cells": cells, "tasks": tasks}


def score_examples(
    examples: Sequence[Example], answer_all: AnswerAll, fill: FillSpeech, judges: Judges
) -> list[Scored]:
    """Ask the model each example's question and grade what comes. All examples want the same outputs."""
    asked = [Conversation(fill(example).messages[:-1]) for example in examples]
    answers = answer_all(asked, examples[0].outputs) if examples else []
    return [
        Scored(example, grade_answer(example, answer, judges), _score_baseline(example, examples, judges))
        for example, answer in zip(examples, answers)
    ]


def _score_baseline(example: Example, examples: Sequence[Example], judges: Judges) -> float:
    verdicts = []
    if example.outputs & {"text", "audio"} and example.answer.kind != "picture":
        verdicts.append(example.answer.check(find_constant_reply(example.task)))
    if "image" in example.outputs and example.answer.scene is not None:
        other = examples[(examples.index(example) + 1) % len(examples)]
        drawn = other.messages.messages[-1].parts_of(Image)
        verdicts.append(bool(drawn) and judges.drawings.judge(drawn[0], example.answer.scene).is_thing_and_colour)
    return float(all(verdicts)) if verdicts else 0.0


_CONSTANT: dict[str, str] = {}


def find_constant_reply(task: str, num_tried: int = 12) -> str:
    """The reply of the training split that is right for most of the task's training items, among the commonest."""
    if task not in _CONSTANT:
        pool = list_items(task if task in TASKS else "fact", "train")
        items = [item for item in pool if item.task == task][:1500]
        common = [say for say, _ in Counter(item.say for item in items).most_common(num_tried)]
        checkable = [item for item in items if item.answer.kind != "picture"]
        _CONSTANT[task] = max(common, key=lambda say: sum(item.answer.check(say) for item in checkable))
    return _CONSTANT[task]


def _by_task(scored: Iterable[Scored]) -> list[tuple[str, list[Scored]]]:
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(one.example.task, []).append(one)
    return sorted(groups.items())


def _describe(given: str, wanted: str, task: str, scored: Sequence[Scored]) -> dict[str, Any]:
    graded = [one for one in scored if isinstance(one.grade, Graded)]
    estimate = estimate_right(scored)
    coverage = count_coverage(one.grade for one in scored)
    baseline = sum(one.baseline for one in graded) / len(graded) if graded else None
    metric = "right, drawn thing and colour" if wanted == "image" else "right"
    row = {"in": given, "out": wanted, "task": task, "metric": metric, **estimate.to_json(), "baseline": baseline}
    return {**row, "coverage": {"graded": coverage.graded, "total": coverage.total, "reasons": coverage.reasons}}


def estimate_right(scored: Sequence[Scored]) -> Estimate:
    """Share of right answers among the graded."""
    graded = [one.grade for one in scored if isinstance(one.grade, Graded)]
    return estimate_proportion(sum(grade.value == 1 for grade in graded), len(graded))
