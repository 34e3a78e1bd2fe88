"""Effects against other formulas, and intervals against simulated studies with a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from vivavoce.critique.analysis import effects
from vivavoce.critique.analysis.simulate import Truth, measure_coverage, simulate_study
from vivavoce.critique.analysis.trials import Trial
from vivavoce.critique.study.plan import Hypothesis
from vivavoce.stats import Estimate


def make(arm: str, num_flaws: int, number: int, **more: object) -> Trial:
    values = {
        "assignment": f"{arm}{number}",
        "labeller": f"L{number % 7}",
        "answer": f"a{number % 11}",
        "passage": "p",
        "kind": "model",
        "arm": arm,
        "num_flaws": num_flaws,
    }
    return Trial(**{**values, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("is_overdispersed", [False, True])
def test_with_one_kind_the_rate_ratio_is_the_ratio_of_means(is_overdispersed: bool) -> None:
    generator = np.random.default_rng(1)
    scale = generator.gamma(1.0, 1.0, 200) if is_overdispersed else np.ones(200)
    trials = [make("model", int(generator.poisson(1.5 * s)), n) for n, s in enumerate(scale[:100])]
    trials += [make("none", int(generator.poisson(1.0 * s)), n) for n, s in enumerate(scale[100:])]
    estimate = effects.estimate_rate_ratio(trials, "num_flaws", "model", "none")
    means = {arm: np.mean([t.num_flaws for t in trials if t.arm == arm]) for arm in ("model", "none")}
    assert estimate.value == pytest.approx(means["model"] / means["none"], rel=1e-6)
    assert estimate.low < estimate.value < estimate.high  # type: ignore[operator]


def test_a_ratio_to_nothing_is_not_a_number() -> None:
    trials = [make("model", 2, n) for n in range(9)] + [make("none", 0, n) for n in range(9)]
    assert str(effects.estimate_rate_ratio(trials, "num_flaws", "model", "none")) == "n/a (n=7)"


def test_an_outcome_that_nobody_judged_is_counted_and_not_scored() -> None:
    trials = [make("model", 1, n, intended_hit=True) for n in range(6)]
    trials += [make("none", 1, n, intended_hit=False) for n in range(5)] + [make("none", 1, 5, intended_hit=None)]
    difference, coverage = effects.estimate_difference(trials, "intended_hit", "model", "none")
    assert difference.value == 1.0
    assert str(coverage) == "11/12 (not judged yet 1)"


def test_where_nothing_varied_there_is_no_interval_and_no_verdict() -> None:
    trials = [make(arm, 0, number) for arm in ("none", "help") for number in range(4)]
    difference, _ = effects.estimate_difference(trials, "num_flaws", "help", "none")
    assert (difference.value, difference.low, difference.high) == (0.0, None, None)
    assert effects.decide_verdict(difference, 1.0, alpha=0.05, margin=0.5) == "n/a", "four zeros a side tie nothing"


def test_time_ratio_is_of_geometric_means() -> None:
    trials = [make("model", 0, n, active_s=s) for n, s in enumerate((100.0, 400.0))]
    trials += [make("none", 0, n, active_s=s) for n, s in enumerate((50.0, 200.0))]
    assert effects.estimate_time_ratio(trials, "model", "none").value == pytest.approx(2.0)


def test_the_permutation_test_rejects_no_more_often_than_it_says_when_help_does_nothing() -> None:
    truth = Truth(num_labellers=8, num_passages=16, items_per_labeller=12, hit_assisted=0.27, sd_effect=0.0)
    test = Hypothesis(name="h", outcome="intended_hit", kinds=("misleading",), arm="model", against="none")
    p_values = []
    for seed in range(100):
        trials = [t for t in simulate_study(truth, seed=seed) if t.kind == "misleading"]
        p_values.append(effects.permute(trials, test, seed=seed, num_draws=200))
    assert np.mean(np.array(p_values) <= 0.05) <= 0.1


@pytest.mark.parametrize(
    ("estimate", "p_holm", "verdict"),
    [
        (Estimate(0.2, 9, 0.1, 0.3), 0.01, "higher"),
        (Estimate(-0.2, 9, -0.3, -0.1), 0.01, "lower"),
        (Estimate(0.2, 9, 0.1, 0.3), 0.2, "undecided"),
        (Estimate(0.01, 9, -0.02, 0.03), 0.6, "tied"),
        (Estimate(0.01, 9, -0.2, 0.3), 0.6, "undecided"),
        (Estimate(0.2, 1), 0.01, "n/a"),
    ],
)
def test_the_verdict_needs_test_and_interval(estimate: Estimate, p_holm: float, verdict: str) -> None:
    assert effects.decide_verdict(estimate, p_holm, alpha=0.05, margin=0.05) == verdict


def test_simulated_shares_are_the_stated_ones() -> None:
    truth = Truth(num_labellers=40, num_passages=80, sd_labeller=0.4, sd_answer=0.4)
    trials = [t for seed in range(6) for t in simulate_study(truth, seed=seed) if t.kind == "misleading"]
    for arm, share in (("none", 0.27), ("model", 0.45)):
        assert np.mean([bool(t.intended_hit) for t in trials if t.arm == arm]) == pytest.approx(share, abs=0.05)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_interval_covers_the_truth_at_its_rate_over_500_simulated_studies() -> None:
    result = measure_coverage(Truth(), num_studies=500, seed=1000)
    assert result.num_undefined == 0
    # three standard errors of 500 studies below 95%; above, what a cautious jackknife adds
    assert 0.92 <= float(result.coverage.value or 0) <= 0.985
