"""Measuring the gaps of one model on the synthetic tasks: it answers, judges its answers, criticises them; oracles grade.

One model plays all three parts, as in the paper; the comparison is fair only if it was trained on all three together.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import numpy as np

from vivavoce.critique.gdc.definitions import (
    Pairs,
    Selection,
    Verdicts,
    charge_false_alarms,
    draw_verdicts,
    measure_conditional,
    measure_generator,
    measure_pairs,
    measure_selection,
)
from vivavoce.critique.language import Respondent
from vivavoce.critique.pool import Sampling, Scored, Target, check_temperature, draw_pools, pick_best
from vivavoce.critique.spans import TextSpan, has_overlap
from vivavoce.critique.synthetic.registry import generate_problems, make_tasks
from vivavoce.critique.synthetic.task import Corruption, Problem, SyntheticTask
from vivavoce.critique.tasks.forms import parse_severity, render
from vivavoce.errors import ConfigError
from vivavoce.grading import Coverage, Grade, Graded, Ungraded, count_coverage
from vivavoce.stats import Estimate

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GdcConfig:
    """How the gaps are measured."""

    tasks: tuple[str, ...] = ()
    """Synthetic tasks; all five when empty."""
    difficulty: str = "quick"
    """quick (for the small critic) or full (the paper's sizes)."""
    num_items: int = 60
    """Held-out problems per task; each is a passage, and passages are what the bootstrap resamples."""
    num_critiques: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of critiques to draw per answer; the largest is the headline."""
    temperature: float = 1.0
    """Of answers and critiques."""
    max_new_tokens: int = 80
    """Bound of an answer or critique."""
    has_severity: bool = False
    """Also ask for the severity of the chosen critique and weigh complaints by it."""
    seed: int = 0
    """Seed of problems, samples and bootstraps."""
    num_draws: int = 1000
    """Bootstrap draws of each interval."""

    def __post_init__(self) -> None:
        make_tasks(self.difficulty, self.tasks)
        if self.num_items < 2 or not self.num_critiques or min(self.num_critiques) < 1:
            raise ConfigError(
                f"need 2 or more items and 1 or more critiques; got {self.num_items}, {self.num_critiques}"
            )
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens is {self.max_new_tokens}; need 1 or more")
        check_temperature(self.temperature)


def make_preset(name: str) -> GdcConfig:
    """`quick`: small tasks, 60 items each. `full`: the paper's sizes, 300 items each, severity too. Raises: ConfigError."""
    if name == "quick":
        return GdcConfig()
    if name == "full":
        return GdcConfig(difficulty="full", num_items=300, max_new_tokens=200, has_severity=True)
    raise ConfigError(f"preset is {name!r}; need quick or full")


class Criticised(NamedTuple):
    """One answer with all that the model says of it. NaN where ungraded."""

    quality: float
    prob_flawed: float
    pool: list[Scored]
    is_valid: list[float]
    """[n] validity of each critique of the pool by the oracle."""
    spans: list[TextSpan | None]


@dataclass(frozen=True, slots=True)
class TaskGaps:
    """One task's numbers. gaps: by definition's name; by_n: eta_C and CD for each number of critiques.

    selection and pairs are what the headline gaps and CD_pairs were computed from, so that tasks can be pooled.
    """

    generator: Estimate
    discriminator: Estimate
    critique: Estimate
    gaps: Mapping[str, Estimate]
    by_n: Mapping[int, Mapping[str, Estimate]]
    parts: Mapping[str, Estimate]
    coverage: Mapping[str, Coverage]
    num_tokens: Mapping[str, int]
    selection: Selection
    pairs: Pairs

    def to_json(self) -> dict[str, Any]:
        """Every estimate as `{"value", "n", "ci", "method"}`."""
        return {
            "generator": self.generator.to_json(),
            "discriminator": self.discriminator.to_json(),
            "critique": self.critique.to_json(),
            "gaps": {name: gap.to_json() for name, gap in self.gaps.items()},
            "by_num_critiques": {
                str(n): {name: value.to_json() for name, value in row.items()} for n, row in self.by_n.items()
            },
            "parts": {name: part.to_json() for name, part in self.parts.items()},
            "coverage": {name: cover._asdict() for name, cover in self.coverage.items()},
            "num_tokens": dict(self.num_tokens),
        }


def measure_gdc(model: Respondent, config: GdcConfig) -> dict[str, TaskGaps]:
    """The gaps of `model` on each task."""
    return {
        name: measure_task(model, task, config) for name, task in make_tasks(config.difficulty, config.tasks).items()
    }


def pool_tasks(found: Iterable[TaskGaps], *, seed: int, num_draws: int = 1000) -> dict[str, Estimate]:
    """`generator`, `discriminator`, `critique`, `GD`, `GC`, `CD` and `CD_pairs` over the items of all tasks together.

    eta then places the pick in the room that all items give, so a task with more room to choose weighs more.
    """
    parts = list(found)
    chosen, twins = [part.selection for part in parts], [part.pairs for part in parts]
    selection = Selection(
        np.concatenate([part.quality for part in chosen]), np.concatenate([part.prob_flawed for part in chosen]),
        np.concatenate([part.complaint for part in chosen]), [name for part in chosen for name in part.passages],
    )  # fmt: skip
    pairs = Pairs(
        np.concatenate([part.prob_flawed for part in twins]), np.concatenate([part.prob_clean for part in twins]),
        np.concatenate([part.hit for part in twins]), np.concatenate([part.false_claim for part in twins]),
        [name for part in twins for name in part.passages],
    )  # fmt: skip
    draws = {"seed": seed, "num_draws": num_draws}
    return {
        "generator": measure_generator(selection, **draws),
        **measure_selection(selection, **draws),
        "CD_pairs": measure_pairs(pairs, **draws)["CD"],
    }


def measure_task(model: Respondent, task: SyntheticTask, config: GdcConfig) -> TaskGaps:
    """Every definition on one task. G, D and C are graded on the same answers and the same items."""
    draws = {"seed": config.seed, "num_draws": config.num_draws}
    problems = list(generate_problems(task, "test", config.num_items, config.seed))
    answers = _answer_twice(model, problems, config)
    mine = [(problem, answer) for problem, pair in zip(problems, answers) for answer in pair if isinstance(answer, str)]
    rng = Random(f"gdc/{task.name}/{config.seed}")
    corruptions = [task.corrupt(problem, rng) for problem in problems]
    twins = [(p, c.text) for p, c in zip(problems, corruptions)] + [(p, p.reference) for p in problems]
    found = _criticise(model, task, list(dict.fromkeys(_key(p, a) for p, a in [*mine, *twins])), problems, config)
    logger.info("%s: %d answers criticised", task.name, len(found))
    passages = [problem.passage + problem.question for problem in problems]
    own = [[found.get((p.passage, p.question, str(answer))) for answer in pair] for p, pair in zip(problems, answers)]
    severities = _measure_severity(model, problems, answers, own, config)
    by_n = {n: measure_selection(_select(own, n, passages), **draws) for n in config.num_critiques}
    n_max = max(config.num_critiques)
    head = by_n[n_max]
    selection = _select(own, n_max, passages)
    num_tokens = np.array([[_count_tokens(item, n_max) for item in pair] for pair in own])
    drawn = draw_verdicts(selection.prob_flawed, num_tokens, seed=config.seed)
    equal = measure_selection(Selection(selection.quality, drawn, selection.complaint, passages), **draws)
    free = measure_selection(_select(own, n_max, passages, is_charged=False), **draws)
    twin_pairs = _pair(problems, corruptions, found, n_max, passages)
    pairs = measure_pairs(twin_pairs, **draws)
    conditional = measure_conditional(_flatten(own, n_max, passages), **draws)
    gaps = {
        "GD": head["GD"], "GC": head["GC"], "CD": head["CD"], "CD_equal_tokens": equal["CD"],
        "CD_false_alarms_free": free["CD"], "CD_pairs": pairs["CD"], "CD_conditional": conditional["CD"],
    }  # fmt: skip
    if severities is not None:
        weighted = Selection(selection.quality, selection.prob_flawed, selection.complaint * severities, passages)
        gaps["CD_severity_weighted"] = measure_selection(weighted, **draws)["CD"]
    parts = {
        "discriminator_equal_tokens": equal["discriminator"], "critique_false_alarms_free": free["critique"],
        "discriminator_pairs": pairs["discriminator"], "critique_pairs": pairs["critique"],
        "discriminator_conditional": conditional["discriminator"], "critique_conditional": conditional["critique"],
    }  # fmt: skip
    return TaskGaps(
        measure_generator(selection, **draws), head["discriminator"], head["critique"], gaps, by_n, parts,
        _cover(task, problems, answers, found), {"critiques": int(num_tokens.sum()), "verdict_draws": int(num_tokens.sum())},
        selection, twin_pairs,
    )  # fmt: skip


def _key(problem: Problem, answer: str) -> tuple[str, str, str]:
    return problem.passage, problem.question, answer


def _answer_twice(model: Respondent, problems: Sequence[Problem], config: GdcConfig) -> list[list[str | Ungraded]]:
    prompts = [render("answer", passage=problem.passage, question=problem.question) for problem in problems]
    drawn = model.sample(
        prompts, 2, max_new_tokens=config.max_new_tokens, temperature=config.temperature, seed=config.seed
    )
    return [[sample.read() for sample in samples] for samples in drawn]


def _criticise(
    model: Respondent,
    task: SyntheticTask,
    keys: Sequence[tuple[str, str, str]],
    problems: Sequence[Problem],
    config: GdcConfig,
) -> dict[tuple[str, str, str], Criticised]:
    """Verdict, pool and grades of each distinct answer that has the task's form."""
    by_text = {(problem.passage, problem.question): problem for problem in problems}
    graded = [(key, task.check_answer(by_text[key[:2]], key[2])) for key in keys]
    usable = [(key, grade.value) for key, grade in graded if isinstance(grade, Graded)]
    targets = [Target(*key) for key, _ in usable]
    prompts = [render("critiqueability", passage=t.passage, question=t.question, answer=t.answer) for t in targets]
    verdicts = model.judge("critiqueability", prompts)
    sampling = Sampling(
        num_critiques=max(config.num_critiques), temperature=config.temperature, max_new_tokens=config.max_new_tokens,
        seed=config.seed + 1,
    )  # fmt: skip
    pools = draw_pools(model, targets, sampling)
    found: dict[tuple[str, str, str], Criticised] = {}
    for (key, quality), verdict, pool in zip(usable, verdicts, pools):
        problem = by_text[key[:2]]
        texts = [scored.text if isinstance(scored.text, str) else None for scored in pool]
        valid = [_value(task.check_critique(problem, key[2], text)) if text is not None else np.nan for text in texts]
        spans = [task.locate(problem, key[2], text) if text is not None else None for text in texts]
        found[key] = Criticised(quality, _value(verdict), pool, valid, spans)
    return found


def _value(grade: Grade) -> float:
    return grade.value if isinstance(grade, Graded) else float("nan")


def _choose(item: Criticised, n: int) -> int | None:
    """Index of the critique shown: the most helpful of the first n whose form the oracle can judge."""
    usable = [
        scored if not np.isnan(valid) else scored._replace(text=Ungraded("unparsed"))
        for scored, valid in zip(item.pool, item.is_valid)
    ]
    best = pick_best(usable, n)
    return None if best is None else next(idx for idx, scored in enumerate(usable) if scored is best)


def _is_claimed(scored: Scored) -> float:
    """1 if the model holds its own critique to be right: it says so to people only then."""
    return float(isinstance(scored.helpfulness, Graded) and scored.helpfulness.value >= 0.5)


def _select(
    own: Sequence[Sequence[Criticised | None]], n: int, passages: Sequence[str], *, is_charged: bool = True
) -> Selection:
    shape = (len(own), 2)
    quality, prob, complaint = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    for row, pair in enumerate(own):
        for column, item in enumerate(pair):
            if item is None:
                continue
            quality[row, column], prob[row, column] = item.quality, item.prob_flawed
            chosen = _choose(item, n)
            if chosen is None:
                continue
            valid = item.is_valid[chosen]
            if is_charged:
                claimed, flawed = _is_claimed(item.pool[chosen]), float(item.quality < 1)
                complaint[row, column] = charge_false_alarms(np.array(valid), np.array(claimed), np.array(flawed))
            else:
                complaint[row, column] = valid
    return Selection(quality, prob, complaint, passages)


def _pair(
    problems: Sequence[Problem],
    corruptions: Sequence[Corruption],
    found: Mapping[Any, Criticised],
    n: int,
    passages: Sequence[str],
) -> Pairs:
    size = len(problems)
    arrays = {name: np.full(size, np.nan) for name in ("prob_flawed", "prob_clean", "hit", "false_claim")}
    for row, (problem, corruption) in enumerate(zip(problems, corruptions)):
        flawed, clean = found.get(_key(problem, corruption.text)), found.get(_key(problem, problem.reference))
        if flawed is None or clean is None:
            continue
        arrays["prob_flawed"][row], arrays["prob_clean"][row] = flawed.prob_flawed, clean.prob_flawed
        at_flawed, at_clean = _choose(flawed, n), _choose(clean, n)
        if at_flawed is not None:
            arrays["hit"][row] = flawed.is_valid[at_flawed] * _is_claimed(flawed.pool[at_flawed])
        if at_clean is not None:
            span = clean.spans[at_clean]
            # a claim without a place is about the whole answer, that place included
            is_there = span is None or has_overlap(span, corruption.span)
            arrays["false_claim"][row] = is_there * _is_claimed(clean.pool[at_clean])
    return Pairs(**arrays, passages=passages)


def _flatten(own: Sequence[Sequence[Criticised | None]], n: int, passages: Sequence[str]) -> Verdicts:
    rows = [(item, passage) for pair, passage in zip(own, passages) for item in pair if item is not None]
    has_valid = [
        float(np.nanmax(item.is_valid[:n])) if not np.isnan(item.is_valid[:n]).all() else np.nan for item, _ in rows
    ]
    return Verdicts(
        np.array([item.prob_flawed for item, _ in rows]), np.array([float(item.quality < 1) for item, _ in rows]),
        np.array(has_valid), [passage for _, passage in rows],
    )  # fmt: skip


def _count_tokens(item: Criticised | None, n: int) -> int:
    """Tokens the critic spent on one answer: its critiques, and a verdict on each."""
    return 0 if item is None else sum(scored.num_tokens + 1 for scored in item.pool[:n])


def _measure_severity(
    model: Respondent,
    problems: Sequence[Problem],
    answers: Sequence[Sequence[str | Ungraded]],
    own: Sequence[Sequence[Criticised | None]],
    config: GdcConfig,
) -> np.ndarray | None:
    """Severity / 4 of each answer's chosen critique, [I, 2]; NaN where the model gives none."""
    if not config.has_severity:
        return None
    places, prompts = list[tuple[int, int]](), []
    for row, (problem, pair) in enumerate(zip(problems, own)):
        for column, item in enumerate(pair):
            chosen = None if item is None else _choose(item, max(config.num_critiques))
            if item is None or chosen is None:
                continue
            places.append((row, column))
            prompts.append(
                render("severity_category", passage=problem.passage, question=problem.question,
                       answer=str(answers[row][column]), critique=str(item.pool[chosen].text))
            )  # fmt: skip
    weights = np.full((len(problems), 2), np.nan)
    for where, samples in zip(places, model.sample(prompts, 1, max_new_tokens=24, temperature=0, seed=config.seed)):
        said = parse_severity(samples[0].text, is_cut=samples[0].is_cut)
        if not isinstance(said, Ungraded) and said[0] is not None:
            weights[where] = said[0] / 4
    return weights


def _cover(
    task: SyntheticTask, problems: Sequence[Problem], answers: Sequence[Sequence[str | Ungraded]],
    found: Mapping[Any, Criticised],
) -> dict[str, Coverage]:  # fmt: skip
    """Coverage of answers (in form) and critiques (parsed, in form)."""
    of_answers = [
        answer if isinstance(answer, Ungraded) else task.check_answer(problem, answer)
        for problem, pair in zip(problems, answers)
        for answer in pair
    ]
    of_critiques: list[Grade] = []
    for item in found.values():
        for scored, valid in zip(item.pool, item.is_valid):
            if isinstance(scored.text, Ungraded):
                of_critiques.append(scored.text)
            else:
                of_critiques.append(Ungraded("unparsed") if np.isnan(valid) else Graded(valid))
    return {"answers": count_coverage(of_answers), "critiques": count_coverage(of_critiques)}
