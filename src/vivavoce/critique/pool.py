"""Critics at work: a pool of critiques of one answer, near-duplicates out, reranked by helpfulness, and a knob.

The knob adds `length_modifier` times the number of places a critique marks to its score, after CriticGPT's search
(2407.00215: score + modifier x number of highlights), and keeps what scores above a threshold: low ones give recall,
high ones precision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vivavoce.critique.language import Respondent, Sample
from vivavoce.critique.tasks.forms import render
from vivavoce.critique.texts import measure_jaccard, shingle
from vivavoce.errors import ConfigError
from vivavoce.grading import Graded, Ungraded


class Target(NamedTuple):
    """What is to be criticised."""

    passage: str
    question: str
    answer: str


def check_temperature(temperature: float) -> None:
    """Raises: ConfigError if a temperature is not one; 0 is greedy."""
    if not 0 <= temperature <= 10:
        raise ConfigError(f"temperature is {temperature}; need 0 (greedy) to 10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How critiques are drawn."""

    num_critiques: int = 8
    """Pool size per answer."""
    temperature: float = 1.0
    """Sampling temperature."""
    max_new_tokens: int = 80
    """Bound of one critique; one that hits it is a parse failure."""
    max_similarity: float = 0.8
    """Critiques whose three-word runs overlap more than this (Jaccard) count as one."""
    seed: int = 0
    """Seed of the draws."""

    def __post_init__(self) -> None:
        if self.num_critiques < 1 or self.max_new_tokens < 1:
            raise ConfigError(f"need at least 1 critique of 1 token; got {self.num_critiques} of {self.max_new_tokens}")
        check_temperature(self.temperature)


class Scored(NamedTuple):
    """One critique of a pool, in the order drawn. `text` is Ungraded where it was not parsed, `helpfulness` where not judged."""

    text: str | Ungraded
    helpfulness: Graded | Ungraded
    num_tokens: int


def draw_pools(model: Respondent, targets: Sequence[Target], sampling: Sampling) -> list[list[Scored]]:
    """A pool for each target: sampled, parsed, judged by the model's own helpfulness head."""
    prompts = [render("critique", passage=t.passage, question=t.question, answer=t.answer) for t in targets]
    drawn = model.sample(
        prompts, sampling.num_critiques, max_new_tokens=sampling.max_new_tokens, temperature=sampling.temperature,
        seed=sampling.seed,
    )  # fmt: skip
    parsed = [[_parse(sample) for sample in samples] for samples in drawn]
    asked = [
        (idx, text)
        for idx, texts in enumerate(parsed)
        for text in dict.fromkeys(t for t in texts if isinstance(t, str))
    ]
    judged = model.judge(
        "helpfulness",
        [
            render("helpfulness", passage=targets[idx].passage, question=targets[idx].question, answer=targets[idx].answer,
                   critique=text)
            for idx, text in asked
        ],
    )  # fmt: skip
    grades = dict(zip(asked, judged))
    return [
        [
            Scored(text, grades[idx, text] if isinstance(text, str) else text, sample.num_tokens)
            for text, sample in zip(parsed[idx], samples)
        ]
        for idx, samples in enumerate(drawn)
    ]


def _parse(sample: Sample) -> str | Ungraded:
    text = sample.read()
    return Ungraded("empty") if text == "" else text


def pick_best(pool: Sequence[Scored], n: int) -> Scored | None:
    """The critique with the highest helpfulness among the first `n`; None if none of them was parsed and judged.

    The first drawn wins ties, so that best of 1 is the first.
    """
    usable = [scored for scored in pool[:n] if isinstance(scored.text, str) and isinstance(scored.helpfulness, Graded)]
    return max(usable, key=lambda scored: scored.helpfulness.value) if usable else None  # type: ignore[union-attr]


def drop_duplicates(pool: Sequence[Scored], max_similarity: float) -> list[Scored]:
    """The parsed critiques, best first, without those too like a better one."""
    usable = [scored for scored in pool if isinstance(scored.text, str) and isinstance(scored.helpfulness, Graded)]
    ordered = sorted(usable, key=lambda scored: -scored.helpfulness.value)  # type: ignore[union-attr]
    kept, runs = list[Scored](), list[object]()
    for scored in ordered:
        mine = shingle(str(scored.text))
        if all(measure_jaccard(mine, other) <= max_similarity for other in runs):  # type: ignore[arg-type]
            kept.append(scored)
            runs.append(mine)
    return kept


def select(
    pool: Sequence[Scored],
    *,
    max_similarity: float = 0.8,
    threshold: float = 0.5,
    length_modifier: float = 0.0,
    limit: int = 8,
) -> list[Scored]:
    """What is shown to a person: distinct critiques whose score is at least the threshold, best first, `limit` at most.

    score = log odds of helpfulness + length_modifier x number of quoted places; threshold is a probability.
    """
    if not 0 < threshold < 1:
        raise ConfigError(f"threshold is {threshold}; need above 0 and below 1")
    scored = [(score(item, length_modifier), item) for item in drop_duplicates(pool, max_similarity)]
    bar = math.log(threshold / (1 - threshold))
    kept = sorted((pair for pair in scored if pair[0] >= bar), key=lambda pair: -pair[0])
    return [item for _, item in kept[:limit]]


def score(item: Scored, length_modifier: float) -> float:
    """Log odds of helpfulness plus the modifier for each place quoted."""
    assert isinstance(item.helpfulness, Graded)
    p = min(max(item.helpfulness.value, 1e-9), 1 - 1e-9)
    return math.log(p / (1 - p)) + length_modifier * count_places(str(item.text))


def count_places(critique: str) -> int:
    """Quoted places in a critique."""
    return critique.count('"') // 2
