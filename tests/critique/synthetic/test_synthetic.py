"""Every synthetic task against brute force that shares no code with its oracles."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.critique.loaders.importing import import_records
from vivavoce.critique.loaders.records import LoadNotes
from vivavoce.critique.store import Store
from vivavoce.critique.synthetic.addition import Addition
from vivavoce.critique.synthetic.alphabetising import Alphabetising
from vivavoce.critique.synthetic.multiple_choice import MultipleChoice
from vivavoce.critique.synthetic.registry import generate_problems, make_record, make_tasks, split_of
from vivavoce.critique.synthetic.satisfiability import Satisfiability
from vivavoce.critique.synthetic.task import Problem, SyntheticTask, is_critiqueable
from vivavoce.critique.synthetic.unscrambling import Unscrambling
from vivavoce.critique.synthetic.wordlist import load_words
from vivavoce.errors import ConfigError
from vivavoce.grading import Graded, Ungraded

TASKS = [*make_tasks("quick").values(), *make_tasks("full").values()]
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.name}-{task!r}"[:40])


def value(grade: Graded | Ungraded) -> float:
    assert isinstance(grade, Graded), grade
    return grade.value


def brute_answer(problem: Problem, answer: str) -> bool:
    """Is the answer right? Worked out from the text of the problem, not from its facts."""
    match problem.task:
        case "addition":
            left, right = problem.passage.split(" + ")
            return int(answer) - int(left) == int(right)
        case "alphabetising":
            words = problem.passage.split()
            return Counter(answer.split()) == Counter(words) and all(
                first <= second for first, second in itertools.pairwise(answer.split())
            )
        case "unscrambling":
            letters = problem.passage.split()
            return any("".join(order) == answer for order in itertools.permutations(letters)) and answer in load_words()
        case "satisfiability":
            return not brute_false_clauses(problem, answer)
        case "multiple_choice":
            return answer == brute_key(problem)
    raise AssertionError(problem.task)


def brute_false_clauses(problem: Problem, answer: str) -> set[int]:
    values = {name: bit == "1" for name, bit in (part.split("=") for part in answer.split())}
    false = set()
    for number, clause in enumerate(problem.passage.split("; "), 1):
        literals = clause.split(": ")[1].split(" or ")
        if not any(values[text[-1]] != text.startswith("not ") for text in literals):
            false.add(number)
    return false


def brute_key(problem: Problem) -> str:
    """Reads the story with a small state machine."""
    where: dict[tuple[str, str], str] = {}
    held: tuple[str, str] = ("", "")
    for sentence in problem.passage.removesuffix(".").split(". "):
        words = sentence.split()
        if words[0] == "Then":
            where[held] = words[-1]
        else:
            held = (words[0], words[3])
            where[held] = words[-1]
    asked = problem.question.split("?")[0].split()
    place = where[(asked[5], asked[3])]
    listed = problem.question.split("? ")[1].split()
    return listed[listed.index(place) - 1].strip("()")


@each_task
def test_the_reference_is_right_and_beyond_criticism(task: SyntheticTask) -> None:
    rng = Random(1)
    for _ in range(30):
        problem = task.generate(rng)
        if not (problem.task == "unscrambling" and len(problem.reference) > 7):
            assert brute_answer(problem, problem.reference)
        assert value(task.check_answer(problem, problem.reference)) == 1
        assert task.list_critiques(problem, problem.reference) == []
        assert value(is_critiqueable(task, problem, problem.reference)) == 0


@each_task
def test_a_corruption_is_wrong_and_its_critique_holds(task: SyntheticTask) -> None:
    rng = Random(2)
    for _ in range(40):
        problem = task.generate(rng)
        corruption = task.corrupt(problem, rng)
        if not (problem.task == "unscrambling" and len(problem.reference) > 7):
            assert not brute_answer(problem, corruption.text)
        assert value(task.check_answer(problem, corruption.text)) == 0
        assert value(task.check_critique(problem, corruption.text, corruption.critique)) == 1
        assert 0 <= corruption.span.begin < corruption.span.end <= len(corruption.text)
        # the same words about the clean answer are not valid
        assert value(task.check_critique(problem, problem.reference, corruption.critique)) == 0


@each_task
def test_critiqueable_exactly_if_a_valid_critique_exists(task: SyntheticTask) -> None:
    rng = Random(3)
    for _ in range(40):
        problem = task.generate(rng)
        answer = rng.choice([problem.reference, task.corrupt(problem, rng).text])
        critiques = task.list_critiques(problem, answer)
        assert (value(is_critiqueable(task, problem, answer)) == 1) is bool(critiques)
        assert all(value(task.check_critique(problem, answer, critique)) == 1 for critique in critiques)
        assert len(critiques) == len(set(critiques))


@each_task
def test_an_invalid_critique_is_well_formed_and_wrong(task: SyntheticTask) -> None:
    rng = Random(4)
    for _ in range(40):
        problem = task.generate(rng)
        answer = rng.choice([problem.reference, task.corrupt(problem, rng).text])
        said = task.draw_invalid(problem, answer, rng)
        assert said is not None
        assert value(task.check_critique(problem, answer, said)) == 0


@each_task
def test_a_repair_never_leaves_its_own_critique_valid(task: SyntheticTask) -> None:
    rng = Random(5)
    num_repaired = 0
    for _ in range(40):
        problem = task.generate(rng)
        corruption = task.corrupt(problem, rng)
        repaired = task.repair(problem, corruption.text, corruption.critique)
        if repaired is not None:
            num_repaired += 1
            grade = task.check_critique(problem, repaired, corruption.critique)
            assert grade == Graded(0.0), (corruption, repaired)
    assert num_repaired > 10


@each_task
def test_text_out_of_form_is_ungraded_not_wrong(task: SyntheticTask) -> None:
    problem = task.generate(Random(6))
    for nonsense in ("", "I am not sure.", "42 ?", "\n"):
        assert isinstance(task.check_answer(problem, nonsense), Ungraded)
        assert isinstance(task.check_critique(problem, problem.reference, nonsense), Ungraded)
        assert task.locate(problem, problem.reference, nonsense) is None


@each_task
def test_the_same_seed_gives_the_same_problems(task: SyntheticTask) -> None:
    assert task.generate(Random(7)) == task.generate(Random(7))
    assert list(generate_problems(task, "train", 5, 1)) == list(generate_problems(task, "train", 5, 1))
    assert list(generate_problems(task, "train", 5, 1)) != list(generate_problems(task, "train", 5, 2))


@each_task
def test_no_problem_is_in_two_splits(task: SyntheticTask) -> None:
    texts = {
        split: {problem.passage + problem.question for problem in generate_problems(task, split, 20, 0)}
        for split in ("train", "validation", "test")
    }
    assert not texts["train"] & texts["test"]
    assert not texts["train"] & texts["validation"]
    assert all(split_of(problem) == "test" for problem in generate_problems(task, "test", 5, 3))


@given(st.integers(0, 10**9), st.text("0123456789", min_size=1, max_size=7))
def test_addition_critiques_equal_a_digit_by_digit_comparison(seed: int, answer: str) -> None:
    task = Addition(num_digits=5)
    problem = task.generate(Random(seed))
    said = {
        (position, digit)
        for position in range(1, 9)
        for digit in [*"0123456789", "absent"]
        if value(task.check_critique(problem, answer, f"Digit {position} from the right should be {digit}.")) == 1
    }
    total, width = str(sum(map(int, problem.passage.split(" + ")))), 9
    pairs = zip(answer.rjust(width, "_")[::-1], total.rjust(width, "_")[::-1])
    wrong = {
        (position, "absent" if right == "_" else right)
        for position, (found, right) in enumerate(pairs, 1)
        if found != right
    }
    assert said == wrong
    assert len(task.list_critiques(problem, answer)) == len(wrong)


@given(st.integers(0, 10**9), st.data())
def test_alphabetising_critiques_equal_all_pairs(seed: int, data: st.DataObject) -> None:
    task = Alphabetising(num_words=4)
    problem = task.generate(Random(seed))
    words = problem.passage.split()
    answer = data.draw(st.lists(st.sampled_from([*words, "zinc"]), min_size=1, max_size=5))
    text = " ".join(answer)
    valid = set(task.list_critiques(problem, text))
    for first, second in itertools.product([*words, "zinc"], repeat=2):
        places = [(i, j) for i, a in enumerate(answer) for j, b in enumerate(answer) if (a, b) == (first, second)]
        expected = first < second and any(i > j for i, j in places)
        assert (f'"{first}" should come before "{second}".' in valid) is expected
    for word in {*words, "zinc"}:
        assert (f'"{word}" is missing.' in valid) is (answer.count(word) < words.count(word))
        assert (f'"{word}" is extra.' in valid) is (answer.count(word) > words.count(word))
    assert bool(valid) is (text != " ".join(sorted(words)))


@given(st.integers(0, 10**9), st.text("abcdeinorst", min_size=1, max_size=6))
def test_unscrambling_critiques_equal_letter_counts(seed: int, answer: str) -> None:
    task = Unscrambling(min_letters=4, max_letters=6)
    problem = task.generate(Random(seed))
    letters = problem.passage.replace(" ", "")
    valid = set(task.list_critiques(problem, answer))
    for letter in "abcdefghijklmnopqrstuvwxyz":
        surplus = answer.count(letter) - letters.count(letter)
        assert (f'The letter "{letter}" is used too often.' in valid) is (surplus > 0)
        assert (f'The letter "{letter}" is used too seldom.' in valid) is (surplus < 0)
    assert (f'"{answer}" is not a word.' in valid) is (answer not in load_words())


def test_another_word_from_the_same_letters_is_right() -> None:
    task = Unscrambling()
    anagrams = [(a, b) for a, b in itertools.combinations(load_words(), 2) if sorted(a) == sorted(b)]
    for first, second in anagrams:
        problem = Problem("unscrambling", " ".join(first), "", first, {"letters": first})
        assert value(task.check_answer(problem, second)) == 1
    assert anagrams, "the word list holds at least one pair of anagrams"


@pytest.mark.parametrize("seed", range(6))
def test_satisfiability_agrees_with_every_assignment(seed: int) -> None:
    task = Satisfiability(num_variables=5, clause_ratio=4.2)
    problem = task.generate(Random(seed))
    num_right = 0
    for bits in itertools.product("01", repeat=5):
        answer = " ".join(f"{name}={bit}" for name, bit in zip("abcde", bits))
        false = brute_false_clauses(problem, answer)
        assert value(task.check_answer(problem, answer)) == float(not false)
        assert task.list_critiques(problem, answer) == [f"Clause {number} is false." for number in sorted(false)]
        num_right += not false
    assert num_right >= 1


@pytest.mark.parametrize("answer", ["a=1 b=0", "a=1 a=0 b=1 c=1 d=0", "a=1 b=0 c=1 d=2", "A=1"])
def test_an_assignment_that_leaves_a_variable_out_or_twice_is_ungraded(answer: str) -> None:
    task = Satisfiability(num_variables=4)
    assert isinstance(task.check_answer(task.generate(Random(0)), answer), Ungraded)


@pytest.mark.parametrize("seed", range(20))
def test_multiple_choice_key_follows_from_the_story(seed: int) -> None:
    task = MultipleChoice()
    problem = task.generate(Random(seed))
    assert problem.reference == brute_key(problem)
    assert problem.facts["support"] in problem.passage
    wrong = "A" if problem.reference != "A" else "B"
    for letter in "ABCD":
        grade = task.check_critique(problem, wrong, f"Option {letter} is better.")
        assert value(grade) == float(letter == problem.reference)
    quoted = f'Option {problem.reference} is better: "{problem.passage[:10]}".'
    assert value(task.check_critique(problem, wrong, quoted)) == 0


def test_an_alphabetising_span_is_the_word_it_names() -> None:
    task = Alphabetising(num_words=3)
    problem = Problem(task.name, "pear fig apple", "", "apple fig pear", {"words": ["pear", "fig", "apple"]})
    span = task.locate(problem, "fig pear apple", '"apple" should come before "fig".')
    assert span is not None
    assert "fig pear apple"[span.begin : span.end] == "apple"


@each_task
def test_records_of_a_task_enter_the_store(task: SyntheticTask, sqlite_store: Store) -> None:
    rng = Random(0)
    records = [make_record(task, problem, rng) for problem in generate_problems(task, "train", 5, 0)]
    report = import_records(sqlite_store, records, LoadNotes())
    assert report.refused == []
    assert report.added["passages"] == 5
    assert report.added["critiques"] >= 10


def test_a_task_that_runs_out_of_problems_says_so() -> None:
    with pytest.raises(ConfigError, match="has only about"):
        list(generate_problems(Addition(num_digits=1), "test", 500, 0))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="no synthetic task"):
        make_tasks("quick", ["chess"])
    with pytest.raises(ConfigError, match="need quick or full"):
        make_tasks("hard")
    with pytest.raises(ConfigError, match="need 3 to 26"):
        Satisfiability(num_variables=2)
    with pytest.raises(ConfigError, match="need 2 to 8 options"):
        MultipleChoice(num_options=9)
