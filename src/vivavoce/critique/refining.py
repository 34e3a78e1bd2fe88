"""Refinement: direct, conditional on one or on the best critique, best of N, gated; against resampling at equal compute.

Every method starts from the same sampled answer. `resample` draws new answers until it has spent the tokens that the
best-critique method spent, and keeps the one its own critiqueability head likes best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vivavoce.critique.constants import widen_constant
from vivavoce.critique.language import Respondent, Sample
from vivavoce.critique.pool import Sampling, Target, check_temperature, draw_pools, pick_best
from vivavoce.critique.tasks.forms import Rendered, render
from vivavoce.errors import ConfigError
from vivavoce.grading import Coverage, Grade, Graded, Ungraded, count_coverage
from vivavoce.stats import Estimate, bootstrap

METHODS = (
    "original", "direct", "conditional_one", "conditional_best", "best_of_n_direct", "best_of_n_conditional",
    "gated_conditional_best", "resample",
)  # fmt: skip
_COMPARISONS = (
    ("direct", "original"), ("conditional_one", "original"), ("conditional_best", "original"),
    ("conditional_best", "direct"), ("best_of_n_conditional", "best_of_n_direct"),
    ("gated_conditional_best", "conditional_best"), ("conditional_best", "resample"),
    ("best_of_n_conditional", "resample"),
)  # fmt: skip


class Item(NamedTuple):
    """A question with what grades an answer to it, 0 to 1."""

    passage_key: str
    passage: str
    question: str
    grade: Callable[[str], Grade]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefiningConfig:
    """How refinements are drawn."""

    num_critiques: int = 8
    """Critiques of which the most helpful is used."""
    num_refinements: int = 4
    """Refinements of which best-of-N keeps the least critiqueable."""
    gate: float = 0.5
    """Answers with P(flawed) below this are left alone by the gated method."""
    temperature: float = 1.0
    """Of answers, critiques and refinements."""
    max_new_tokens: int = 80
    """Bound of each."""
    seed: int = 0
    """Seed of draws and bootstraps."""

    def __post_init__(self) -> None:
        for name in ("num_critiques", "num_refinements", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; need 1 or more")
        check_temperature(self.temperature)


class RefiningReport(NamedTuple):
    """Mean quality by method, differences of pairs of methods on the same items, tokens spent, coverage by method."""

    quality: dict[str, Estimate]
    differences: dict[str, Estimate]
    tokens_per_item: dict[str, float]
    coverage: dict[str, Coverage]


class _Drawn(NamedTuple):
    answers: list[str | Ungraded]
    num_tokens: list[int]


def measure_refining(model: Respondent, items: Sequence[Item], config: RefiningConfig) -> RefiningReport:
    """Refine one sampled answer per item by every method and grade the results."""
    refiner = _Refiner(model, items, config)
    made = refiner.run()
    grades = {
        name: [_grade(item, answer) for item, answer in zip(items, drawn.answers)] for name, drawn in made.items()
    }
    clusters = [item.passage_key for item in items]
    values = {
        name: np.array([g.value if isinstance(g, Graded) else np.nan for g in row]) for name, row in grades.items()
    }
    differences = {
        f"{left} - {right}": _estimate(values[left] - values[right], clusters, config.seed, low=-1)
        for left, right in _COMPARISONS
    }
    return RefiningReport(
        {name: _estimate(row, clusters, config.seed) for name, row in values.items()}, differences,
        {name: float(np.mean(drawn.num_tokens)) for name, drawn in made.items()},
        {name: count_coverage(row) for name, row in grades.items()},
    )  # fmt: skip


def _grade(item: Item, answer: str | Ungraded) -> Grade:
    return answer if isinstance(answer, Ungraded) else item.grade(answer)


def _estimate(values: np.ndarray, clusters: Sequence[str], seed: int, *, low: float = 0) -> Estimate:
    kept = ~np.isnan(values)
    inside, mine = values[kept], [cluster for cluster, is_kept in zip(clusters, kept) if is_kept]
    found = bootstrap(lambda idx: float(inside[idx].mean()), len(inside), seed=seed, clusters=mine, num_draws=1000)
    return widen_constant(found, low, 1)


class _Refiner:
    """Draws each method's answers. An answer that was not parsed stays Ungraded through every method."""

    def __init__(self, model: Respondent, items: Sequence[Item], config: RefiningConfig) -> None:
        self.model, self.items, self.config = model, items, config

    def run(self) -> dict[str, _Drawn]:
        original = self._sample([self._render("answer", idx) for idx in range(len(self.items))], 1, 0)
        first = [samples[0] for samples in original]
        answers = [sample.read() for sample in first]
        spent = [sample.num_tokens for sample in first]
        usable = [idx for idx, answer in enumerate(answers) if isinstance(answer, str)]
        pools = dict(zip(usable, self._draw_pools(usable, answers)))
        flawed = dict(zip(usable, self._judge([(idx, str(answers[idx])) for idx in usable])))
        n, made = self.config.num_refinements, dict[str, _Drawn]()
        made["original"] = _Drawn(answers, spent)
        direct = self._refine(usable, answers, dict.fromkeys(usable), n, 1)
        best = {idx: self._critique(pools[idx], self.config.num_critiques) for idx in usable}
        one = {idx: self._critique(pools[idx], 1) for idx in usable}
        conditional = self._refine(usable, answers, best, n, 2)
        made["direct"] = self._assemble(answers, spent, {idx: rows[:1] for idx, rows in direct.items()})
        made["best_of_n_direct"] = self._assemble(answers, spent, direct)
        of_one = self._refine(usable, answers, one, 1, 3)
        tokens_one = {idx: pools[idx][0].num_tokens for idx in usable}
        tokens_all = {idx: sum(scored.num_tokens + 1 for scored in pools[idx]) for idx in usable}
        made["conditional_one"] = self._assemble(answers, spent, of_one, tokens_one)
        first_conditional = {idx: rows[:1] for idx, rows in conditional.items()}
        made["conditional_best"] = self._assemble(answers, spent, first_conditional, tokens_all)
        made["best_of_n_conditional"] = self._assemble(answers, spent, conditional, tokens_all)
        made["gated_conditional_best"] = self._gate(made["original"], made["conditional_best"], flawed)
        made["resample"] = self._resample(made["original"], made["conditional_best"])
        return {name: made[name] for name in METHODS}

    def _render(self, task: str, idx: int, **fields: str) -> Rendered:
        item = self.items[idx]
        return render(task, passage=item.passage, question=item.question, **fields)

    def _sample(self, prompts: Sequence[Rendered], n: int, offset: int) -> list[list[Sample]]:
        return self.model.sample(
            prompts, n, max_new_tokens=self.config.max_new_tokens, temperature=self.config.temperature,
            seed=self.config.seed + 1000 * offset,
        )  # fmt: skip

    def _draw_pools(self, usable: Sequence[int], answers: Sequence[str | Ungraded]) -> list:
        targets = [Target(self.items[idx].passage, self.items[idx].question, str(answers[idx])) for idx in usable]
        sampling = Sampling(
            num_critiques=self.config.num_critiques, temperature=self.config.temperature,
            max_new_tokens=self.config.max_new_tokens, seed=self.config.seed + 1,
        )  # fmt: skip
        return draw_pools(self.model, targets, sampling)

    def _critique(self, pool: list, n: int) -> str | None:
        best = pick_best(pool, n)
        return str(best.text) if best is not None else None

    def _judge(self, answers: Sequence[tuple[int, str]]) -> list[Grade]:
        return self.model.judge(
            "critiqueability", [self._render("critiqueability", idx, answer=text) for idx, text in answers]
        )

    def _refine(
        self,
        usable: Sequence[int],
        answers: Sequence[str | Ungraded],
        critiques: dict[int, str | None],
        n: int,
        offset: int,
    ) -> dict[int, list[Sample]]:
        """`n` refinements each: with the critique, or direct where it is None (no critique could be parsed)."""
        prompts = []
        for idx in usable:
            critique, answer = critiques[idx], str(answers[idx])
            if critique is None:
                prompts.append(self._render("direct_refinement", idx, answer=answer))
            else:
                prompts.append(self._render("conditional_refinement", idx, answer=answer, critique=critique))
        return dict(zip(usable, self._sample(prompts, n, offset)))

    def _assemble(
        self, answers: Sequence[str | Ungraded], spent: Sequence[int], refined: dict[int, list[Sample]],
        extra: dict[int, int] | None = None,
    ) -> _Drawn:  # fmt: skip
        """The least critiqueable of each item's refinements, in the order drawn."""
        parsed = {idx: [sample.read() for sample in samples] for idx, samples in refined.items()}
        chosen = self._least_flawed(parsed)
        out = [chosen[idx] if idx in chosen else answers[idx] for idx in range(len(answers))]
        tokens = [
            spent[idx] + sum(sample.num_tokens for sample in refined.get(idx, [])) + (extra or {}).get(idx, 0)
            for idx in range(len(answers))
        ]
        return _Drawn(out, tokens)

    def _least_flawed(self, parsed: dict[int, list[str | Ungraded]]) -> dict[int, str | Ungraded]:
        asked = [
            (idx, text) for idx, texts in parsed.items() if len(texts) > 1 for text in texts if isinstance(text, str)
        ]
        grades = dict(zip(asked, self._judge(asked)))
        chosen: dict[int, str | Ungraded] = {}
        for idx, texts in parsed.items():
            usable = [text for text in texts if isinstance(text, str)]
            scored = [
                (grade.value if isinstance(grade, Graded) else 1.0)
                for grade in (grades.get((idx, text)) for text in usable)
            ]
            chosen[idx] = usable[int(np.argmin(scored))] if usable else texts[0]
        return chosen

    def _gate(self, original: _Drawn, refined: _Drawn, flawed: dict[int, Grade]) -> _Drawn:
        """Leaves alone what the model's own head holds to be right; an ungraded verdict refines."""
        is_left = [
            isinstance(grade := flawed.get(idx, Ungraded("absent")), Graded) and grade.value < self.config.gate
            for idx in range(len(original.answers))
        ]
        answers = [old if left else new for old, new, left in zip(original.answers, refined.answers, is_left)]
        tokens = [old if left else new for old, new, left in zip(original.num_tokens, refined.num_tokens, is_left)]
        return _Drawn(answers, tokens)

    def _resample(self, original: _Drawn, model_spent: _Drawn) -> _Drawn:
        """New answers worth the tokens the critique method spent; the first is the original."""
        spare = [max(0, there - here) for here, there in zip(original.num_tokens, model_spent.num_tokens)]
        num_new = max(1, round(float(np.mean(spare)) / max(1.0, float(np.mean(original.num_tokens)))))
        drawn = self._sample([self._render("answer", idx) for idx in range(len(self.items))], num_new, 4)
        parsed: dict[int, list[str | Ungraded]] = {}
        tokens = list(original.num_tokens)
        for idx, samples in enumerate(drawn):
            texts, spent = [original.answers[idx]], 0
            for sample in samples:
                if spent + sample.num_tokens > spare[idx] and spent:
                    break
                texts.append(sample.read())
                spent += sample.num_tokens
            parsed[idx] = texts
            tokens[idx] += spent
        chosen = self._least_flawed(parsed)
        return _Drawn([chosen[idx] for idx in range(len(self.items))], tokens)
