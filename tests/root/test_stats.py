"""Statistics against closed forms, other libraries and simulated coverage."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from vivavoce import stats


def test_wilson_is_the_published_example() -> None:
    # Newcombe 1998, table I: 81 of 263
    estimate = stats.estimate_proportion(81, 263)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (0.2553, 0.3662)  # type: ignore[arg-type]


def test_undefined_is_said_and_not_zero() -> None:
    assert str(stats.estimate_proportion(0, 0)) == "n/a (n=0)"
    assert stats.estimate_mean([]).value is None
    one = stats.estimate_mean([2.0])
    assert (one.value, one.low, str(one)) == (2.0, None, "2 (n=1)")
    assert one.to_json()["ci"] is None
    assert stats.estimate_auroc([1, 2], [1, 1]).value is None


def test_a_count_on_which_all_agree_has_the_exact_poisson_interval_and_not_one_of_no_width() -> None:
    agreed = stats.estimate_count([1, 1, 1, 1], ["a", "a", "b", "b"])
    # Garwood 1936: 4 seen, 1.09 to 10.24
    assert (agreed.value, agreed.n, agreed.method) == (1.0, 2, "poisson, exact")
    assert (agreed.low, agreed.high) == pytest.approx((1.0899 / 4, 10.2416 / 4), abs=1e-4)
    none = stats.estimate_count([0, 0, 0], ["a", "b", "c"])
    assert (none.value, none.low, none.high) == pytest.approx((0.0, 0.0, 3.6889 / 3), abs=1e-4)
    mixed, counts = stats.estimate_count([0, 2, 1, 5], ["a", "a", "b", "b"]), [0, 2, 1, 5]
    assert (mixed.low, mixed.high) == (0.0, stats.estimate_mean(counts, ["a", "a", "b", "b"]).high)
    assert stats.estimate_count([1, 1], ["a", "a"]).low is None, "one cluster says nothing of others"
    assert stats.estimate_count([], []).value is None


def test_an_interval_of_no_width_is_dropped_and_others_stay() -> None:
    assert stats.drop_empty_interval(stats.Estimate(1.0, 2, 1.0, 1.0)).to_json()["ci"] is None
    wide = stats.Estimate(1.0, 2, 0.5, 1.5)
    assert stats.drop_empty_interval(wide) == wide


def test_mean_equals_the_t_interval() -> None:
    values = np.random.default_rng(0).normal(size=20)
    estimate = stats.estimate_mean(values)
    low, high = scipy_stats.t.interval(0.95, 19, values.mean(), scipy_stats.sem(values))
    assert (estimate.low, estimate.high) == pytest.approx((low, high))


def test_clusters_of_one_change_nothing_and_copies_add_nothing() -> None:
    values = np.random.default_rng(1).normal(size=15)
    plain = stats.estimate_mean(values)
    single = stats.estimate_mean(values, clusters=range(15))
    copied = stats.estimate_mean(np.repeat(values, 4), clusters=np.repeat(range(15), 4).tolist())
    assert (single.low, single.high) == pytest.approx((plain.low, plain.high))
    assert (copied.low, copied.high, copied.n) == pytest.approx((plain.low, plain.high, 15))


def test_ratio_with_equal_denominators_is_the_mean() -> None:
    values = np.random.default_rng(2).integers(0, 5, size=30)
    ratio, mean = stats.estimate_ratio(values, np.full(30, 4.0)), stats.estimate_mean(values / 4)
    assert (ratio.value, ratio.low) == pytest.approx((mean.value, mean.low))


def test_clustered_intervals_cover_the_truth_as_often_as_they_say() -> None:
    generator, hits, trials = np.random.default_rng(3), 0, 600
    clusters = np.repeat(range(25), 6).tolist()
    for _ in range(trials):
        values = generator.normal(size=25).repeat(6) + generator.normal(size=150)
        estimate = stats.estimate_mean(values, clusters)
        hits += estimate.low <= 0 <= estimate.high  # type: ignore[operator]
    # 3 standard errors of a binomial share at 0.95
    assert abs(hits / trials - 0.95) < 3 * np.sqrt(0.95 * 0.05 / trials)


def test_bootstrap_of_a_mean_agrees_with_the_t_interval() -> None:
    values = np.random.default_rng(4).normal(size=200)
    drawn = stats.bootstrap(lambda idx: values[idx].mean(), 200, seed=0)
    exact = stats.estimate_mean(values)
    assert (drawn.low, drawn.high) == pytest.approx((exact.low, exact.high), abs=0.02)
    assert drawn == stats.bootstrap(lambda idx: values[idx].mean(), 200, seed=0)


def test_bootstrap_without_enough_defined_draws_has_no_interval() -> None:
    estimate = stats.bootstrap(lambda idx: 1.0 if 0 in idx else np.nan, 3, seed=0)
    assert (estimate.value, estimate.low) == (1.0, None)


def test_bootstrap_draws_clusters_whole() -> None:
    clusters = np.repeat(range(10), 5).tolist()

    def check(idx: np.ndarray) -> float:
        counts = np.bincount(idx, minlength=50).reshape(10, 5)
        assert (counts == counts[:, :1]).all()
        return 0.0

    assert stats.bootstrap(check, 50, seed=1, clusters=clusters, num_draws=50).n == 10


def test_quantile_interval_covers() -> None:
    generator, hits, trials = np.random.default_rng(5), 0, 500
    for _ in range(trials):
        estimate = stats.estimate_quantile(generator.exponential(size=60), 0.5)
        hits += estimate.low <= np.log(2) <= estimate.high  # type: ignore[operator]
    assert hits / trials >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / trials)
    assert stats.estimate_quantile([1.0, 2.0], 0.95).low is None


def test_auroc_by_counting_pairs() -> None:
    scores, labels = np.array([0.1, 0.4, 0.4, 0.8, 0.9, 0.3]), np.array([0, 0, 1, 1, 1, 0])
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    assert stats.estimate_auroc(scores, labels).value == pytest.approx(np.mean(pairs))


def test_equal_error_of_two_shifted_normals_is_the_closed_form() -> None:
    generator = np.random.default_rng(6)
    scores = np.concatenate([generator.normal(2, 1, 4000), generator.normal(0, 1, 4000)])
    rate, threshold = stats.find_equal_error(scores, np.repeat([1, 0], 4000))
    assert rate == pytest.approx(scipy_stats.norm.cdf(-1), abs=0.015)
    assert threshold == pytest.approx(1.0, abs=0.07)
    assert np.isnan(stats.find_equal_error([1, 2], [1, 1])[0])


def test_mcnemar_by_hand() -> None:
    a, b = [1] * 8 + [0] * 2 + [1] * 5, [0] * 8 + [1] * 2 + [1] * 5
    assert stats.mcnemar_p_value(a, b) == pytest.approx(2 * sum(scipy_stats.binom.pmf(range(3), 10, 0.5)))
    assert stats.mcnemar_p_value([1, 0], [1, 0]) == 1.0


def test_sign_flips_are_exact_for_few_and_close_for_many() -> None:
    assert stats.sign_flip_p_value([1.0, 1.0, 1.0], seed=0) == pytest.approx(2 / 8)
    differences = np.random.default_rng(7).normal(0.3, 1, 40)
    assert stats.sign_flip_p_value(differences, seed=0) == pytest.approx(
        scipy_stats.ttest_1samp(differences, 0).pvalue, abs=0.03
    )
    copied = np.repeat([1.0, 1.0, 1.0], 5)
    assert stats.sign_flip_p_value(copied, seed=0, clusters=np.repeat(range(3), 5).tolist()) == pytest.approx(2 / 8)


def test_holm_by_hand() -> None:
    adjusted = stats.correct_holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


def test_kappa_and_alpha_by_hand() -> None:
    a, b = ["y"] * 25 + ["n"] * 25, ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert stats.measure_kappa(a, b) == pytest.approx(0.4)
    assert stats.measure_kappa(["y"], ["y"]) is None
    # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", example B (nominal, two observers): 0.692
    first = ["a", "a", "b", "b", "d", "c", "c", "c", "e", "d", "d", "a"]
    second = ["b", "a", "b", "b", "b", "c", "c", "c", "e", "d", "d", "d"]
    codes = {letter: idx for idx, letter in enumerate("abcde")}
    ratings = [{"A": codes[x], "B": codes[y]} for x, y in zip(first, second)]
    assert stats.measure_alpha(ratings) == pytest.approx(0.692, abs=5e-4)
    assert stats.measure_alpha([{"A": 1.0}]) is None


def test_unequal_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="2 and 3 items"):
        stats.estimate_difference([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="2 cluster labels for 3 items"):
        stats.estimate_mean([1, 2, 3], clusters=[0, 1])


def test_a_group_difference_without_clusters_is_close_to_welch_s_t() -> None:
    generator = np.random.default_rng(4)
    a, b = generator.normal(1.0, 1, 60), generator.normal(0.0, 1, 60)
    estimate = stats.estimate_group_difference(np.concatenate([a, b]), [True] * 60 + [False] * 60)
    welch = scipy_stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert estimate.value == pytest.approx(a.mean() - b.mean())
    assert (estimate.low, estimate.high) == pytest.approx((welch.low, welch.high), abs=0.01)


def test_a_group_difference_within_pairs_is_the_paired_interval() -> None:
    generator = np.random.default_rng(5)
    a, b = generator.normal(size=12), generator.normal(size=12)
    paired = stats.estimate_difference(a, b)
    crossed = stats.estimate_group_difference(
        np.concatenate([a, b]), [True] * 12 + [False] * 12, [*range(12), *range(12)]
    )
    # leaving out a pair re-weighs nothing but the size, so that the jackknife is the t interval exactly
    assert (crossed.value, crossed.low, crossed.high) == pytest.approx((paired.value, paired.low, paired.high))


def test_a_group_difference_says_when_a_group_lives_in_one_cluster() -> None:
    estimate = stats.estimate_group_difference([1.0, 2.0, 3.0], [True, True, False], ["a", "a", "b"])
    assert (estimate.value, estimate.low, estimate.n) == (-1.5, None, 2)
    assert stats.estimate_group_difference([1.0, 2.0], [True, True]).value is None


def test_a_weighted_group_difference_is_of_shares() -> None:
    estimate = stats.estimate_group_difference([3, 1, 1, 1], [True, True, False, False], weights=[4, 4, 2, 6])
    assert estimate.value == pytest.approx(4 / 8 - 2 / 8)


def test_crossed_clusters_cover_the_truth_where_items_and_people_both_vary() -> None:
    generator, num_hits = np.random.default_rng(6), 0
    people, items = np.repeat(np.arange(16), 12), np.tile(np.arange(12), 16)
    treated = (people + items) % 2 == 0
    for _ in range(300):
        slopes = generator.normal(0, 0.7, 16)
        noise = generator.normal(size=12)[items] + generator.normal(size=192)
        values = noise + treated * (0.5 + slopes[people])
        estimate = stats.estimate_group_difference(values, treated, people.tolist(), items.tolist())
        num_hits += bool(estimate.low < 0.5 < estimate.high)  # type: ignore[operator]
    assert 0.92 <= num_hits / 300 <= 0.99


def test_a_permutation_within_pairs_is_the_sign_flip_test() -> None:
    generator = np.random.default_rng(7)
    a, b = generator.normal(0.6, 1, 12), generator.normal(0.0, 1, 12)
    exact = stats.sign_flip_p_value(a - b, seed=0)
    drawn = stats.permutation_p_value(
        np.concatenate([a, b]), [True] * 12 + [False] * 12, [*range(12), *range(12)], seed=0
    )
    assert drawn == pytest.approx(exact, abs=0.015)


def test_a_permutation_without_choice_is_no_evidence() -> None:
    assert stats.permutation_p_value([5.0, 1.0], [True, False], ["a", "b"], seed=0, num_draws=100) == 1.0


def test_a_clustered_proportion_without_clusters_is_wilsons() -> None:
    alone = stats.estimate_clustered_proportion([1, 1, 0, 1, 0, 1, 1, 1], list(range(8)))
    wilson = stats.estimate_proportion(6, 8)
    assert alone.n == 8
    assert alone.low is not None
    assert alone.low <= wilson.value <= alone.high  # type: ignore[operator]
    assert alone.low == pytest.approx(wilson.low, abs=0.03)


def test_ten_voices_on_three_prompts_that_never_fail_count_as_three() -> None:
    clustered = stats.estimate_clustered_proportion([1] * 30, [idx // 10 for idx in range(30)])
    three = stats.estimate_proportion(3, 3)
    assert (clustered.n, clustered.low) == (3, pytest.approx(three.low))


def test_a_clustered_proportion_covers_the_truth_about_as_often_as_it_says() -> None:
    generator, hits = np.random.default_rng(3), 0
    for _ in range(300):
        chances = generator.beta(4, 1, size=40)
        values = (generator.random((40, 5)) < chances[:, None]).astype(float).ravel()
        found = stats.estimate_clustered_proportion(values, [idx // 5 for idx in range(200)])
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.8 <= found.high
    assert 0.91 <= hits / 300 <= 0.99
