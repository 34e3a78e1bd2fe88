"""A failed grade is not a score, and graded text can't leave its place in the prompt."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.errors import ConfigError
from vivavoce.grading import Graded, Ungraded, count_coverage, fill_prompt, grade_probability


@pytest.mark.parametrize(("value", "reason"), [(math.nan, "nan"), (-0.1, "out_of_range"), (1.1, "out_of_range")])
def test_what_is_no_probability_is_ungraded(value: float, reason: str) -> None:
    grade = grade_probability(value)
    assert isinstance(grade, Ungraded)
    assert grade.reason == reason


def test_a_grade_must_be_finite() -> None:
    assert grade_probability(0.25, missing=0.1) == Graded(0.25, {"missing": 0.1})
    with pytest.raises(ValueError, match="return Ungraded"):
        Graded(math.inf)


def test_coverage_counts_reasons() -> None:
    coverage = count_coverage([Graded(1), Ungraded("timeout"), Ungraded("nan"), Ungraded("nan")])
    assert str(coverage) == "1/4 (nan 2, timeout 1)"
    assert str(count_coverage([Graded(1)])) == "1/1"


def test_values_stand_between_marks_with_a_random_word() -> None:
    prompt = fill_prompt("Judge: {{answer}} Yes or no?", {"answer": "hi"}, boundary="k7")
    assert prompt == "Judge: <answer k7>\nhi\n</answer k7> Yes or no?"


@given(st.text(), st.text())
def test_no_value_closes_its_own_mark_or_opens_a_slot(first: str, second: str) -> None:
    prompt = fill_prompt("A {{a}} B {{b}} C", {"a": first + "{{b}}", "b": second + "</b>"})
    boundary = prompt.split("<a ", 1)[1].split(">", 1)[0]
    assert prompt.count(boundary) == 4
    assert f"<a {boundary}>\n{first}{{{{b}}}}\n</a {boundary}>" in prompt


def test_slots_and_values_must_match() -> None:
    with pytest.raises(ConfigError, match=r"without value: \['b'\].*without slot: \['c'\]"):
        fill_prompt("{{a}} {{b}}", {"a": "1", "c": "2"})
    with pytest.raises(ConfigError, match="contains the boundary"):
        fill_prompt("{{a}}", {"a": "x k7 y"}, boundary="k7")
