"""Simulated studies with a known truth: to check that intervals keep their promise, and to size a study by trial.

Labellers and answers differ (normal effects on the logit or log scale), labellers profit from help to different
degrees, and arms are drawn by the very randomisation that the application uses. Baselines are set so that the mean over
all labellers and answers is the stated one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from vivavoce.critique.analysis.effects import estimate_difference, estimate_rate_ratio
from vivavoce.critique.analysis.trials import Trial
from vivavoce.critique.study.randomise import Candidate, choose_slot
from vivavoce.stats import Estimate, estimate_proportion


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a simulated study is made with."""

    num_labellers: int = 20
    """People."""
    num_passages: int = 60
    """Texts, each with one answer of every kind."""
    items_per_labeller: int = 24
    """Answers that each person judges."""
    ratings_per_cell: int = 3
    """People per answer and arm, at most."""
    hit_control: float = 0.27
    """Share of intended flaws found without help, over all people and answers."""
    hit_assisted: float = 0.45
    """The same with help."""
    flaws_control: float = 1.0
    """Flaws per answer without help."""
    flaws_assisted: float = 1.5
    """The same with help."""
    sd_labeller: float = 0.5
    """Spread of people, on the logit and log scale."""
    sd_answer: float = 0.6
    """Spread of answers."""
    sd_effect: float = 0.3
    """Spread of what help does, between people."""


class CoverageResult(NamedTuple):
    """How often the interval held the truth, and how often it left out no effect."""

    coverage: Estimate
    rejections: Estimate
    mean_width: float
    num_undefined: int


ARMS = {"none": 1, "model": 1}
KINDS = {"model": 1, "person": 1, "misleading": 1}


def simulate_study(truth: Truth, *, seed: int) -> list[Trial]:
    """The trials of one study in which everyone handed everything in and every flaw was judged."""
    generator = np.random.default_rng(seed)
    slots = _draw_slots(truth, seed)
    people = {f"L{n}": generator.normal(0, truth.sd_labeller) for n in range(truth.num_labellers)}
    profits = {name: generator.normal(0, truth.sd_effect) for name in people}
    answers = {f"{kind}{n}": generator.normal(0, truth.sd_answer) for kind in KINDS for n in range(truth.num_passages)}
    spread = np.hypot(truth.sd_labeller, truth.sd_answer)
    spread_assisted = np.hypot(spread, truth.sd_effect)
    logits = {"none": _find_logit(truth.hit_control, spread), "model": _find_logit(truth.hit_assisted, spread_assisted)}
    logs = {
        "none": np.log(truth.flaws_control) - spread**2 / 2,
        "model": np.log(truth.flaws_assisted) - spread_assisted**2 / 2,
    }
    trials = []
    for number, (labeller, candidate, arm, block) in enumerate(slots):
        shift = people[labeller] + answers[str(candidate.item)] + (profits[labeller] if arm == "model" else 0.0)
        is_hit = bool(generator.random() < expit(logits[arm] + shift)) if candidate.kind == "misleading" else None
        num_flaws = int(generator.poisson(np.exp(logs[arm] + shift)))
        trials.append(
            Trial(
                assignment=f"s{number}",
                labeller=labeller,
                answer=str(candidate.item),
                passage=str(candidate.passage),
                kind=candidate.kind,
                arm=arm,
                block=block,
                active_s=float(generator.lognormal(6.2 + people[labeller] / 2, 0.4)),
                intended_hit=is_hit,
                num_flaws=num_flaws,
                by_severity={2: num_flaws},
                num_valid=num_flaws,
            )
        )
    return trials


def measure_coverage(truth: Truth, *, num_studies: int, seed: int, outcome: str = "intended_hit") -> CoverageResult:
    """How often the 95% interval of the effect holds the truth over `num_studies` studies.

    outcome: `intended_hit` (difference of shares) or `num_flaws` (ratio of rates).
    """
    if outcome == "intended_hit":
        target, nothing = truth.hit_assisted - truth.hit_control, 0.0
    else:
        target, nothing = truth.flaws_assisted / truth.flaws_control, 1.0
    num_covering, num_rejecting, widths, num_undefined = 0, 0, [], 0
    for number in range(num_studies):
        trials = simulate_study(truth, seed=seed + number)
        if outcome == "intended_hit":
            misleading = [trial for trial in trials if trial.kind == "misleading"]
            estimate, _ = estimate_difference(misleading, outcome, "model", "none")
        else:
            estimate = estimate_rate_ratio(trials, outcome, "model", "none")
        if estimate.low is None or estimate.high is None:
            num_undefined += 1
            continue
        num_covering += estimate.low <= target <= estimate.high
        num_rejecting += not estimate.low <= nothing <= estimate.high
        widths.append(estimate.high - estimate.low)
    defined = num_studies - num_undefined
    return CoverageResult(
        estimate_proportion(num_covering, defined),
        estimate_proportion(num_rejecting, defined),
        float(np.mean(widths)) if widths else float("nan"),
        num_undefined,
    )


def _draw_slots(truth: Truth, seed: int) -> list[tuple[str, Candidate, str, int]]:
    """(labeller, answer, arm, block), in the order in which labellers who work at one pace would claim them."""
    candidates = [Candidate(f"{kind}{n}", kind, f"p{n}") for n in range(truth.num_passages) for kind in KINDS]
    given: Counter[tuple[Hashable, str]] = Counter()
    seen: dict[str, tuple[set[Hashable], set[Hashable], Counter[str]]] = {
        f"L{n}": (set(), set(), Counter()) for n in range(truth.num_labellers)
    }
    slots = []
    for position in range(truth.items_per_labeller):
        for labeller, (items, passages, drawn) in seen.items():
            slot = choose_slot(
                candidates, seed=seed, labeller=labeller, position=position, kinds=KINDS, arms=ARMS, num_drawn=drawn,
                seen_items=items, seen_passages=passages, num_given=given, quota=truth.ratings_per_cell,
            )  # fmt: skip
            if slot is None:
                continue
            items.add(slot.candidate.item)
            passages.add(slot.candidate.passage)
            given[slot.candidate.item, slot.arm] += 1
            drawn[slot.candidate.kind] = slot.kind_idx + 1
            slots.append((labeller, slot.candidate, slot.arm, slot.kind_idx // len(ARMS)))
    return slots


def _find_logit(probability: float, spread: float) -> float:
    """The intercept whose mean over normal effects of this spread is `probability` (Gauss-Hermite, 40 nodes)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()

    def excess(logit: float) -> float:
        return float(weights @ expit(logit + spread * nodes)) - probability

    return float(brentq(excess, -20, 20))  # pyright: ignore[reportArgumentType]  # scipy's stub allows more results
