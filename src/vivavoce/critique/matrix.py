"""Critic by author: how often each critic finds a valid flaw in each author's flawed answers.

A single "self-critique" number hides that stronger authors' answers are less often flawed and harder to criticise, so
the whole matrix is reported, with how often each author is flawed at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vivavoce.critique.language import Respondent
from vivavoce.critique.pool import Sampling, Target, draw_pools, pick_best
from vivavoce.critique.synthetic.task import Problem, SyntheticTask
from vivavoce.critique.tasks.forms import render
from vivavoce.grading import Graded
from vivavoce.stats import Estimate, estimate_clustered_proportion


class Matrix(NamedTuple):
    """cells[critic][author]: share of the author's flawed answers with a valid top critique; flawed[author]."""

    cells: dict[str, dict[str, Estimate]]
    flawed: dict[str, Estimate]
    coverage: dict[str, dict[str, tuple[int, int]]]


def measure_matrix(
    models: Mapping[str, Respondent],
    tasks: Sequence[SyntheticTask],
    problems: Mapping[str, Sequence[Problem]],
    sampling: Sampling,
) -> Matrix:
    """Each model criticises each model's answers, and the corruptions of the oracle are added as an author by callers.

    Answers out of form, and critiques out of form, are left out and counted (graded, total).
    """
    pairs = [(task, problem) for task in tasks for problem in problems[task.name]]
    answers = {name: _answer(model, pairs, sampling) for name, model in models.items()}
    flawed: dict[str, Estimate] = {}
    wrong: dict[str, list[tuple[SyntheticTask, Problem, str]]] = {}
    for author, texts in answers.items():
        graded = [
            (task, problem, text, grade.value)
            for (task, problem), text in zip(pairs, texts)
            if text is not None and isinstance(grade := task.check_answer(problem, text), Graded)
        ]
        flawed[author] = estimate_clustered_proportion(
            [1 - value for *_, value in graded], [problem.passage for _, problem, *_ in graded]
        )
        wrong[author] = [(task, problem, text) for task, problem, text, value in graded if value < 1]
    cells: dict[str, dict[str, Estimate]] = {}
    coverage: dict[str, dict[str, tuple[int, int]]] = {}
    for critic, model in models.items():
        rows = {author: _criticise(model, items, sampling) for author, items in wrong.items()}
        cells[critic] = {
            author: estimate_clustered_proportion(
                [value for value in values if not np.isnan(value)],
                [problem.passage for (_, problem, _), value in zip(wrong[author], values) if not np.isnan(value)],
            )
            for author, values in rows.items()
        }
        coverage[critic] = {
            author: (int(sum(not np.isnan(value) for value in values)), len(values)) for author, values in rows.items()
        }
    return Matrix(cells, flawed, coverage)


def _answer(model: Respondent, pairs: Sequence[tuple[SyntheticTask, Problem]], sampling: Sampling) -> list[str | None]:
    prompts = [render("answer", passage=problem.passage, question=problem.question) for _, problem in pairs]
    drawn = model.sample(
        prompts, 1, max_new_tokens=sampling.max_new_tokens, temperature=sampling.temperature, seed=sampling.seed
    )
    parsed = [samples[0].read() for samples in drawn]
    return [text if isinstance(text, str) else None for text in parsed]


def _criticise(
    model: Respondent, items: Sequence[tuple[SyntheticTask, Problem, str]], sampling: Sampling
) -> list[float]:
    pools = draw_pools(model, [Target(problem.passage, problem.question, text) for _, problem, text in items], sampling)
    values = list[float]()
    for (task, problem, text), pool in zip(items, pools):
        best = pick_best(pool, sampling.num_critiques)
        grade = task.check_critique(problem, text, str(best.text)) if best is not None else None
        values.append(grade.value if isinstance(grade, Graded) else float("nan"))
    return values
