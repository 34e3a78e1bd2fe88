"""The fit: equal to the exact optimum by other means, certified, constrained, reproducible; and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from vivavoce.cli import main
from vivavoce.errors import ConfigError, DataError
from vivavoce.rbr.comparisons import (
    Comparison,
    Completion,
    build_pairs,
    parse_order,
    read_comparisons,
    refuse_shared_prompts,
)
from vivavoce.rbr.fit import FitConfig, fit_weights, parse_constraints
from vivavoce.rbr.solve import measure_loss, solve_linear, solve_ridge
from vivavoce.rbr.weights import read_weights

ORDER = parse_order("ideal>bad>disallowed")
NO_ROWS = np.zeros((0, 4))


def draw_problem(seed: int, num_pairs: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    delta = generator.normal(size=(num_pairs, 4))
    bound = 1 - generator.normal(size=num_pairs)
    cost = generator.uniform(0.5, 1.5, size=num_pairs) / num_pairs
    return delta, bound, cost


def draw_comparisons(
    num_prompts: int, planted: dict[str, float], *, seed: int = 0, rm_scale: float = 1.0
) -> list[Comparison]:
    """Completions with random features, labelled by the rank of planted weights; the reward model is noise."""
    generator = np.random.default_rng(seed)
    comparisons = []
    for idx in range(num_prompts):
        drawn = []
        for _ in range(3):
            features = {name: float(generator.uniform()) for name in planted}
            drawn.append((sum(planted[name] * value for name, value in features.items()), features))
        completions = tuple(
            Completion(label=label, features=features, rm_score=rm_scale * float(generator.normal()))
            for label, (_, features) in zip(("ideal", "bad", "disallowed"), sorted(drawn, key=lambda item: -item[0]))
        )
        comparisons.append(Comparison(prompt_id=f"p{idx:03}", response_type="hard_refuse", completions=completions))
    return comparisons


@pytest.mark.parametrize("seed", range(5))
def test_the_linear_fit_equals_the_primal_programme_solved_directly(seed: int) -> None:
    delta, bound, cost = draw_problem(seed)
    size, width = delta.shape
    direct = linprog(
        np.concatenate([np.zeros(width), cost]),
        A_ub=-np.hstack([delta, np.eye(size)]),
        b_ub=-bound,
        bounds=[(None, None)] * width + [(0, None)] * size,
        method="highs",
    )
    ours = solve_linear(delta, bound, cost, NO_ROWS)
    assert ours.objective == pytest.approx(direct.fun, abs=1e-10)
    assert abs(ours.dual_gap) < 1e-10
    assert ours.residual < 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_the_ridge_fit_is_certified_and_no_descent_finds_better(seed: int) -> None:
    delta, bound, cost = draw_problem(seed)
    ours = solve_ridge(delta, bound, cost, NO_ROWS, 0.05)
    assert 0 <= ours.dual_gap < 1e-8
    generator = np.random.default_rng(seed)
    for _ in range(5):
        start = ours.weights_F + 0.1 * generator.normal(size=4)
        other = minimize(lambda w: measure_loss(w, delta, bound, cost, 0.05), start, method="Nelder-Mead")
        assert other.fun >= ours.objective - 1e-8


def test_a_vanishing_ridge_gives_the_linear_optimum() -> None:
    delta, bound, cost = draw_problem(7)
    linear = solve_linear(delta, bound, cost, NO_ROWS)
    ridge = solve_ridge(delta, bound, cost, NO_ROWS, 1e-8)
    assert measure_loss(ridge.weights_F, delta, bound, cost, 0) == pytest.approx(linear.objective, abs=1e-6)


@pytest.mark.parametrize("ridge", [0.0, 0.01])
def test_constraints_hold_exactly_and_the_gap_still_closes(ridge: float) -> None:
    delta, bound, cost = draw_problem(3)
    free = solve_linear(delta, bound, cost, NO_ROWS).weights_F
    # forbid the sign that the first weight wants, and the order that the next two want
    first = "a<=0" if free[0] > 0 else "a>=0"
    second = "b<=c" if free[1] > free[2] else "b>=c"
    rows = parse_constraints((first, second), ("a", "b", "c", "d"))
    found = solve_ridge(delta, bound, cost, rows, ridge) if ridge else solve_linear(delta, bound, cost, rows)
    assert (rows @ found.weights_F >= -1e-12).all()
    assert abs(found.dual_gap) < 1e-8
    assert found.objective > measure_loss(free, delta, bound, cost, 0) + 1e-4


def test_planted_weights_are_recovered_in_direction() -> None:
    planted = {"a": 3.0, "b": -2.0, "c": 0.0, "d": 1.0}
    fit = fit_weights(draw_comparisons(300, planted, rm_scale=0.0), FitConfig(order=ORDER, ridge=1e-4))
    found, truth = np.array([fit.weights[name] for name in planted]), np.array(list(planted.values()))
    assert found @ truth / np.linalg.norm(found) / np.linalg.norm(truth) > 0.999
    assert fit.error_rate.cross_validated.value is not None
    assert fit.error_rate.cross_validated.value < 0.02


def test_weights_are_in_units_of_the_reward_model() -> None:
    planted = {"a": 1.0, "b": -1.0}
    small = fit_weights(draw_comparisons(200, planted, rm_scale=1.0), FitConfig(order=ORDER, ridge=1e-6))
    large = fit_weights(draw_comparisons(200, planted, rm_scale=5.0), FitConfig(order=ORDER, ridge=1e-6))
    assert large.weights["a"] > 2 * small.weights["a"] > 0
    assert large.error_rate.before.value == pytest.approx(0.5, abs=0.1)


def test_the_same_data_in_another_order_give_the_same_bits() -> None:
    comparisons = draw_comparisons(40, {"a": 1.0, "b": -1.0, "c": 0.5})
    config = FitConfig(order=ORDER)
    once, again = fit_weights(comparisons, config), fit_weights(comparisons[::-1], config)
    assert once.weights == again.weights
    assert once.error_rate == again.error_rate


def test_the_released_optimiser_reports_what_it_leaves_on_the_table() -> None:
    comparisons = draw_comparisons(60, {"a": 1.0, "b": -1.0}, rm_scale=3.0)
    exact = fit_weights(comparisons, FitConfig(order=ORDER, num_folds=0))
    short = fit_weights(comparisons, FitConfig(order=ORDER, num_folds=0, solver="released", num_steps=20))
    long = fit_weights(comparisons, FitConfig(order=ORDER, num_folds=0, solver="released", num_steps=200))
    assert short.dual_gap > long.dual_gap > -1e-9
    assert short.objective == pytest.approx(exact.objective + short.dual_gap, abs=1e-9)


def test_the_released_optimiser_reaches_an_optimum_that_is_near() -> None:
    ideal = Completion(label="ideal", features={"a": 1.0}, rm_score=None)
    bad = Completion(label="bad", features={"a": 0.0}, rm_score=None)
    comparison = Comparison(prompt_id="p", response_type="comply", completions=(ideal, bad))
    fit = fit_weights([comparison], FitConfig(order=ORDER, solver="released", num_folds=0))
    assert 1 <= fit.weights["a"] < 1.5
    assert fit.dual_gap == pytest.approx(0, abs=1e-9)


def test_weighting_by_prompt_stops_long_prompts_from_dominating() -> None:
    def prompt(name: str, num_bad: int, sign: float) -> Comparison:
        ideal = Completion(label="ideal", features={"a": sign}, rm_score=None)
        bad = Completion(label="bad", features={"a": 0.0}, rm_score=None)
        return Comparison(prompt_id=name, response_type="comply", completions=(ideal, *[bad] * num_bad))

    comparisons = [prompt("long", 8, -1.0), *(prompt(f"short{i}", 1, 1.0) for i in range(3))]
    by_pair = fit_weights(comparisons, FitConfig(order=ORDER, num_folds=0))
    by_prompt = fit_weights(comparisons, FitConfig(order=ORDER, num_folds=0, weighting="prompt"))
    assert by_pair.weights["a"] == pytest.approx(-1)
    assert by_prompt.weights["a"] == pytest.approx(1)


def test_margins_are_real_numbers() -> None:
    ideal = Completion(label="ideal", features={"a": 1.0}, rm_score=None)
    bad = Completion(label="bad", features={"a": 0.0}, rm_score=None)
    comparison = Comparison(prompt_id="p", response_type="comply", completions=(ideal, bad))
    config = FitConfig(order=ORDER, margin=0.5, label_margins={"ideal": 0.5}, constraints=("a>=0",), num_folds=0)
    assert fit_weights([comparison], config).weights["a"] == pytest.approx(0.25)


def test_ties_count_half_and_equal_labels_are_not_compared() -> None:
    completions = tuple(
        Completion(label=label, features={"a": 0.0}, rm_score=None) for label in ("ideal", "odd", "bad", "junk")
    )
    comparison = Comparison(prompt_id="p", response_type="comply", completions=completions)
    pairs = build_pairs([comparison], parse_order("ideal>bad=odd"))
    assert len(pairs) == 2
    assert pairs.num_left_out == 1
    fit = fit_weights([comparison], FitConfig(order=parse_order("ideal>bad=odd"), num_folds=0))
    assert fit.error_rate.after.value == 0.5
    assert fit.error_rate.before.value is None
    assert any("left out" in text and "junk" in text for text in fit.warnings)


def test_error_rates_without_variation_keep_an_honest_interval() -> None:
    fit = fit_weights(draw_comparisons(10, {"a": 1.0}, rm_scale=0.0), FitConfig(order=ORDER, num_folds=0))
    assert fit.error_rate.after.value == 0
    assert fit.error_rate.after.high == pytest.approx(0.2775, abs=1e-3)


def test_a_class_weight_against_the_order_is_a_warning() -> None:
    comparisons = draw_comparisons(30, {"class:good": -1.0, "class:bad": 1.0}, rm_scale=0.0)
    fit = fit_weights(comparisons, FitConfig(order=ORDER, num_folds=0), class_order=("good", "bad"))
    assert any(text.startswith("class:good weighs less than class:bad") for text in fit.warnings)


def as_row(comparison: Comparison, **changes: Any) -> dict[str, Any]:
    completions = [{"label": c.label, "features": c.features, "rm_score": c.rm_score} for c in comparison.completions]
    row = {"prompt_id": comparison.prompt_id, "response_type": comparison.response_type, "completions": completions}
    return row | changes


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_command_writes_what_the_reward_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparisons = draw_comparisons(30, {"a": 1.0, "b": -1.0})
    path = write_rows(tmp_path / "c.jsonl", [as_row(item, made_with={"reading": "exact"}) for item in comparisons])
    out = tmp_path / "weights.json"
    assert main(["rbr", "fit", str(path), "--order", "ideal>bad>disallowed", "--json", str(out)]) == 0
    document = json.loads(out.read_text())
    assert document["weights"] == document["by_response_type"]["hard_refuse"]["weights"]
    assert {"before", "after", "cross_validated"} <= document["error_rate"].keys()
    assert abs(document["dual_gap"]) < 1e-9
    assert read_weights(out).made_with == {"reading": "exact"}
    assert "dual gap" in capsys.readouterr().out


def test_each_response_type_gets_its_own_weights_and_order(tmp_path: Path) -> None:
    comparisons = draw_comparisons(10, {"a": 1.0})
    rows = [as_row(item) for item in comparisons] + [
        as_row(item, prompt_id=f"x{idx}", response_type="comply") for idx, item in enumerate(comparisons)
    ]
    path, out = write_rows(tmp_path / "c.jsonl", rows), tmp_path / "weights.json"
    orders = ["--order", "ideal>bad>disallowed", "comply: disallowed>bad=ideal"]
    assert main(["rbr", "fit", str(path), *orders, "--json", str(out)]) == 0
    weights = read_weights(out).by_response_type
    assert weights["hard_refuse"]["a"] > 0 > weights["comply"]["a"]
    assert "weights" not in json.loads(out.read_text())


def test_weights_refuse_to_score_with_another_grader(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "c.jsonl", [as_row(item, made_with={"grader": "g1"}) for item in draw_comparisons(4, {"a": 1.0})]
    )
    assert main(["rbr", "fit", str(path), "--order", "ideal>bad", "--json", str(tmp_path / "w.json")]) == 0
    with pytest.raises(ConfigError, match=r"another grader \('g1', now 'g2'\)"):
        read_weights(tmp_path / "w.json").refuse_mismatch({"grader": "g2"})


GOOD = as_row(draw_comparisons(1, {"a": 1.0})[0])
ONE_LABEL = GOOD | {"prompt_id": "q", "completions": GOOD["completions"][:1]}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([GOOD, GOOD], r"line 2: prompt 'p000' stands in .*line 1 too"),
        ([GOOD, GOOD | {"prompt_id": "q", "completions": [{"label": "bad", "features": {"z": 1}}]}], "differ.*in a, z"),
        ([GOOD | {"completions": [{"label": "bad", "features": {"a": float("nan")}}]}], "feature a is nan"),
        ([GOOD | {"completions": [{"label": "bad", "features": {"a": True}}]}], "feature a is True"),
        ([GOOD | {"completions": [{"label": "bad", "features": {}}]}], "features is {}"),
        ([GOOD | {"completions": "many"}], "completions is 'many'"),
        ([[1]], "list; need an object"),
    ],
)
def test_a_malformed_file_is_refused_by_line(tmp_path: Path, rows: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_comparisons(write_rows(tmp_path / "c.jsonl", rows))


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text(json.dumps(GOOD) + "\n{broken\n")
    with pytest.raises(DataError, match=r"c\.jsonl, line 2: not JSON"):
        read_comparisons(tmp_path / "c.jsonl")


def test_a_prompt_with_one_label_is_named_or_left_out_when_asked(tmp_path: Path) -> None:
    comparisons = read_comparisons(write_rows(tmp_path / "c.jsonl", [GOOD, ONE_LABEL]))
    with pytest.raises(DataError, match=r"line 2: prompt 'q' gives no pair: its labels are ideal"):
        build_pairs(comparisons, ORDER)
    assert build_pairs(comparisons, ORDER, skip_unpaired=True).num_left_out == 1


def test_an_ungraded_completion_is_named_or_left_out_when_asked(tmp_path: Path) -> None:
    row = json.loads(json.dumps(GOOD))
    row["completions"][1]["rm_score"] = None
    row["completions"][2]["features"]["a"] = None
    comparisons = read_comparisons(write_rows(tmp_path / "c.jsonl", [row, GOOD | {"prompt_id": "q"}]))
    with pytest.raises(DataError, match=r"line 1: a completion labelled 'bad' has no grade for rm_score"):
        build_pairs(comparisons, ORDER)
    assert build_pairs(comparisons, ORDER, skip_ungraded=True, skip_unpaired=True).num_left_out == 3


def test_a_prompt_in_both_splits_is_named(tmp_path: Path) -> None:
    train = read_comparisons(write_rows(tmp_path / "train.jsonl", [GOOD]))
    test = read_comparisons(write_rows(tmp_path / "test.jsonl", [GOOD]))
    with pytest.raises(DataError, match=r"'p000' is in both splits: .*train\.jsonl, line 1 and .*test\.jsonl, line 1"):
        refuse_shared_prompts(train, test)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--ignore", "colour"), "--ignore names colour, which no completion has; there are a, b"),
        (
            ("--label-margin", "worst=2"),
            "--label-margin names worst, which no completion has; there are bad, disallowed",
        ),
        (("--label-margin", "ideal=nan"), "label margin of 'ideal' is nan"),
        (("--margin", "nan"), "margin is nan; need a finite number"),
        (("--ridge", "-1"), "ridge is -1.0; need a finite number, 0 or more"),
        (("--folds", "1"), "num_folds is 1; need 0 (none) or at least 2"),
    ],
)
def test_a_flag_that_names_nothing_or_no_number_is_refused(
    words: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path / "c.jsonl", [as_row(row) for row in draw_comparisons(4, {"a": 1.0, "b": -1.0})])
    assert main(["rbr", "fit", str(path), "--order", "ideal>bad>disallowed", *words]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("text", ["ideal", "ideal>", "a>b=a", ">", ""])
def test_an_order_that_ranks_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="need at least two levels"):
        parse_order(text)


@pytest.mark.parametrize("text", ["a", "a>=z", "0>=0", "a>b"])
def test_a_constraint_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="need `feature>=0`"):
        parse_constraints((text,), ("a", "b"))


def test_an_expected_error_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rbr", "fit", str(tmp_path / "none.jsonl"), "--order", "a>b"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
