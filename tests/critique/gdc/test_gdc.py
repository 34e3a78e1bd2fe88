"""The gaps on models whose ability is known, and each definition against a value worked by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    pick_quality,
    place,
)
from vivavoce.critique.gdc.measuring import GdcConfig, make_preset, measure_task, pool_tasks
from vivavoce.critique.synthetic.registry import generate_problems, make_tasks
from vivavoce.critique.synthetic.task import Problem, SyntheticTask, is_critiqueable
from vivavoce.errors import ConfigError
from vivavoce.grading import Graded

sys.path.insert(0, str(Path(__file__).parents[1]))
from scripted import Scripted

TASKS = make_tasks("quick")
CONFIG = GdcConfig(num_items=24, num_critiques=(1, 4), num_draws=60)


def make_model(
    task: SyntheticTask, *, knows: bool = True, says: bool = True, complains_always: bool = False, accuracy: float = 0.5
) -> Scripted:
    problems = list(generate_problems(task, "test", CONFIG.num_items, CONFIG.seed))

    def truth(problem: Problem, answer: str) -> float:
        grade = is_critiqueable(task, problem, answer)
        return grade.value if isinstance(grade, Graded) else 0.5

    def answer(problem: Problem, rng: Random) -> str:
        return problem.reference if rng.random() < accuracy else task.corrupt(problem, rng).text

    def critique(problem: Problem, text: str, rng: Random) -> str:
        valid = task.list_critiques(problem, text)
        return rng.choice(valid) if says and valid else task.draw_invalid(problem, text, rng) or "nothing"

    def helpful(problem: Problem, text: str, said: str) -> float:
        if complains_always:
            return 0.9
        grade = task.check_critique(problem, text, said)
        return 0.9 if grade == Graded(1.0) else 0.1

    def flawed(problem: Problem, text: str) -> float:
        return 0.95 * truth(problem, text) + 0.02 if knows else 0.5

    return Scripted(task, problems, answer=answer, flawed=flawed, critique=critique, helpful=helpful)


@pytest.mark.parametrize("name", TASKS)
def test_a_model_that_knows_and_says_everything_has_no_gap(name: str) -> None:
    found = measure_task(make_model(TASKS[name]), TASKS[name], CONFIG)
    assert found.discriminator.value == 1
    assert found.critique.value == 1
    for gap in ("CD", "CD_pairs", "CD_conditional", "CD_false_alarms_free", "CD_equal_tokens"):
        assert found.gaps[gap].value == pytest.approx(0, abs=0.05), gap
    assert found.coverage["critiques"].graded == found.coverage["critiques"].total
    assert found.generator.value == pytest.approx(0.5, abs=0.25)


@pytest.mark.parametrize("name", TASKS)
def test_a_model_that_knows_but_does_not_say_has_a_gap(name: str) -> None:
    found = measure_task(make_model(TASKS[name], says=False), TASKS[name], CONFIG)
    assert found.discriminator.value == 1
    assert found.critique.value == pytest.approx(0)
    for gap in ("CD", "CD_conditional"):
        estimate = found.gaps[gap]
        assert estimate.value == pytest.approx(1, abs=0.01)
        assert estimate.n > 2
    assert found.gaps["CD_pairs"].value >= 1


def test_a_model_that_says_but_does_not_know_has_a_negative_gap() -> None:
    found = measure_task(make_model(TASKS["addition"], knows=False), TASKS["addition"], CONFIG)
    assert found.discriminator.value == 0
    assert found.gaps["CD"].value == -1
    assert found.gaps["CD"].high is not None
    assert found.gaps["CD"].high < 0


def test_a_critic_that_always_complains_is_charged_for_it() -> None:
    task = TASKS["addition"]
    honest = measure_task(make_model(task), task, CONFIG)
    loud = measure_task(make_model(task, complains_always=True), task, CONFIG)
    assert honest.critique.value == 1
    assert loud.critique.value == pytest.approx(0)
    assert loud.parts["critique_false_alarms_free"].value == 1


def test_tasks_pooled_are_one_measure_over_the_items_of_all() -> None:
    found = [measure_task(make_model(TASKS[name]), TASKS[name], CONFIG) for name in ("addition", "alphabetising")]
    alone, both = pool_tasks(found[:1], seed=0), pool_tasks(found, seed=0)
    assert alone["CD"].value == found[0].gaps["CD"].value
    assert alone["CD_pairs"].value == found[0].gaps["CD_pairs"].value
    assert both["CD"].n == found[0].gaps["CD"].n + found[1].gaps["CD"].n
    assert both["discriminator"].value == 1
    means = [part.generator.value for part in found]
    assert both["generator"].value == pytest.approx(sum(means) / 2)


def test_answers_out_of_form_are_left_out_and_counted() -> None:
    task = TASKS["addition"]
    model = make_model(task)
    inner = model.answer
    model.answer = lambda problem, rng: "I do not know" if rng.random() < 0.5 else inner(problem, rng)
    found = measure_task(model, task, CONFIG)
    coverage = found.coverage["answers"]
    assert coverage.total == 2 * CONFIG.num_items
    assert coverage.reasons["unparsed"] == coverage.total - coverage.graded > 10
    assert found.discriminator.n < CONFIG.num_items


def test_the_report_gives_every_value_with_n_and_interval() -> None:
    task = TASKS["multiple_choice"]
    report = measure_task(make_model(task), task, GdcConfig(num_items=12, has_severity=True, num_draws=60)).to_json()
    assert {"generator", "discriminator", "critique", "gaps"} <= set(report)
    for value in [report["generator"], report["discriminator"], report["critique"], *report["gaps"].values()]:
        assert {"value", "n", "ci"} <= set(value)
    assert set(report["by_num_critiques"]) == {"1", "2", "4", "8"}
    assert "CD_severity_weighted" in report["gaps"]
    assert (
        measure_task(make_model(task), task, GdcConfig(num_items=12, has_severity=True, num_draws=60)).to_json()
        == report
    )


def test_placing_is_worked_by_hand() -> None:
    quality = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    # picks: right, wrong, either, either; random 0.5, oracle 0.75, picked 0.5
    badness = np.array([[0.1, 0.9], [0.2, 0.3], [0.5, 0.4], [0.1, 0.2]])
    assert pick_quality(quality, badness).tolist() == [1, 0, 1, 0]
    assert place(quality, badness) == 0
    assert place(quality, 1 - quality) == 1
    assert place(quality, quality) == -1
    assert place(quality, np.zeros((4, 2))) == 0


def test_no_room_between_random_and_oracle_is_undefined() -> None:
    assert np.isnan(place(np.ones((5, 2)), np.zeros((5, 2))))
    assert np.isnan(place(np.zeros((0, 2)), np.zeros((0, 2))))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20), st.integers(0, 99))
def test_no_selector_beats_the_oracle_or_falls_below_its_mirror(pairs: list, seed: int) -> None:
    quality = np.array(pairs)
    value = place(quality, np.random.default_rng(seed).random(quality.shape))
    assert np.isnan(value) or -1 - 1e-9 <= value <= 1 + 1e-9


def test_selection_drops_ungraded_items_from_both_sides() -> None:
    quality = np.array([[1.0, 0.0]] * 4)
    prob = np.array([[0.0, 1.0]] * 3 + [[np.nan, 1.0]])
    complaint = np.array([[0.0, 1.0]] * 2 + [[0.0, np.nan]] + [[0.0, 1.0]])
    found = measure_selection(Selection(quality, prob, complaint, list("abcd")), seed=0)
    assert found["CD"].n == 2
    assert found["CD"].value == 0


def test_a_generator_that_is_never_right_has_an_interval_of_some_width() -> None:
    nothing = np.full((10, 2), np.nan)
    found = measure_generator(Selection(np.zeros((10, 2)), nothing, nothing, list("abcdefghij")), seed=0)
    assert (found.value, found.n, found.low) == (0, 10, 0)
    assert found.high == pytest.approx(0.278, abs=0.001)  # z^2 / (n + z^2)
    mixed = measure_generator(Selection(np.eye(2), nothing[:2], nothing[:2], list("ab")), seed=0)
    assert mixed.value == 0.5


def test_charging_by_hand() -> None:
    valid, claimed, flawed = np.array([1, 0, 0, 1, 0]), np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 1, 0])
    assert charge_false_alarms(valid, claimed, flawed).tolist() == [1, 0, 1, 0, 0]
    assert np.isnan(charge_false_alarms(np.array([np.nan]), np.array([1.0]), np.array([1.0])))[0]


def test_pairs_and_conditional_by_hand() -> None:
    pairs = Pairs(
        np.array([0.9, 0.6, 0.2, 0.5]), np.array([0.1, 0.7, 0.1, 0.5]), np.array([1.0, 0.0, 1.0, 0.0]),
        np.array([0.0, 0.0, 1.0, 0.0]), list("abcd"),
    )  # fmt: skip
    found = measure_pairs(pairs, seed=0)
    assert (found["discriminator"].value, found["critique"].value, found["CD"].value) == (0.25, 0.25, 0)
    verdicts = Verdicts(np.array([0.9, 0.85, 0.5]), np.array([1.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0]), list("abc"))
    conditional = measure_conditional(verdicts, seed=0)
    assert (conditional["discriminator"].value, conditional["critique"].value, conditional["CD"].value) == (0.5, 0, 0.5)
    assert measure_conditional(Verdicts(*[np.array([0.1])] * 3, ["a"]), seed=0)["CD"].value is None


def test_verdicts_drawn_many_times_come_to_the_probability() -> None:
    prob = np.array([[0.25, np.nan], [1.0, 0.0]])
    drawn = draw_verdicts(prob, np.full((2, 2), 100_000), seed=0)
    assert drawn[0, 0] == pytest.approx(0.25, abs=0.01)
    assert np.isnan(drawn[0, 1])
    assert drawn[1].tolist() == [1, 0]
    assert set(draw_verdicts(prob, np.zeros((2, 2)), seed=0)[1]) == {0.0, 1.0}


def test_bad_configurations_are_refused() -> None:
    with pytest.raises(ConfigError, match="need quick or full"):
        make_preset("huge")
    with pytest.raises(ConfigError, match="2 or more items"):
        GdcConfig(num_items=1)
    with pytest.raises(ConfigError, match="no synthetic task"):
        GdcConfig(tasks=("chess",))
    assert make_preset("full").has_severity
