"""From what a model says to a probability of yes: token variants, missing mass, votes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from vivavoce.grading import Grade, Ungraded, grade_probability

VARIANTS = {
    word: tuple(space + form for space in ("", " ", "\n") for form in (word, word.title(), word.upper()))
    for word in ("yes", "no")
}
"""How a tokenizer may spell the answers."""

_WORD = re.compile(r"[^\W\d_]+")


def read_word(token: str) -> str | None:
    """`yes` or `no` if the token or text is that word, whatever its case, space and punctuation."""
    words = _WORD.findall(token.lower())
    return words[0] if len(words) == 1 and words[0] in ("yes", "no") else None


def grade_masses(prob_yes: float, prob_no: float, min_mass: float) -> Grade:
    """P(yes) / (P(yes) + P(no)), ungraded when the two hold less than `min_mass` together.

    `detail` states the missing mass: what the model gave to anything else.
    """
    if math.isnan(prob_yes) or math.isnan(prob_no):
        return Ungraded("nan", "the model returned NaN")
    mass = prob_yes + prob_no
    if mass < min_mass or mass == 0:
        return Ungraded("no_yes_no", f"yes and no have mass {mass:.2g} together; need {min_mass:.2g}")
    return grade_probability(prob_yes / mass, missing_mass=max(0.0, 1.0 - mass))


def grade_top_tokens(logprobs: Iterable[tuple[str, float]], min_mass: float) -> Grade:
    """A grade from the first token's top log-probabilities; what an endpoint does not list counts as missing."""
    masses = {"yes": 0.0, "no": 0.0}
    for token, logprob in logprobs:
        if (word := read_word(token)) is not None:
            masses[word] += math.exp(logprob)
    return grade_masses(masses["yes"], masses["no"], min_mass)


def grade_votes(texts: Iterable[str], *, min_votes: int) -> Grade:
    """Share of yes among sampled answers that start with yes or no; ungraded with fewer than `min_votes` of those.

    One pseudo-vote for each side (Laplace) keeps a few unanimous samples from claiming certainty.
    """
    counts = {"yes": 0, "no": 0}
    num_other = 0
    for text in texts:
        words = _WORD.findall(text.lower())
        if words and words[0] in counts:
            counts[words[0]] += 1
        else:
            num_other += 1
    total = counts["yes"] + counts["no"]
    if total < min_votes:
        return Ungraded("no_yes_no", f"{total} of {total + num_other} samples answer yes or no; need {min_votes}")
    return grade_probability((counts["yes"] + 1) / (total + 2), votes=dict[str, int](counts), num_other=num_other)


def describe_missing(grades: Mapping[str, Grade]) -> float:
    """Mean missing mass of the graded ones, 0 if none states it."""
    masses = [
        grade.detail["missing_mass"]
        for grade in grades.values()
        if not isinstance(grade, Ungraded) and "missing_mass" in grade.detail
    ]
    return sum(masses) / len(masses) if masses else 0.0
