"""Pools, the knob, ranking, refinement, the matrix and planted flaws, on scripted models of known ability."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from vivavoce.critique.language import Sample
from vivavoce.critique.loaders.records import PlantedFlaw
from vivavoce.critique.matrix import measure_matrix
from vivavoce.critique.planted import (
    LexicalCritic,
    ModelCritic,
    Twins,
    compare_recall,
    is_hit,
    list_twins,
    measure_planted,
    trace_curve,
)
from vivavoce.critique.pool import Sampling, Scored, Target, draw_pools, drop_duplicates, pick_best, select
from vivavoce.critique.ranking import Pair, list_pairs, measure_ranking, rank_report_to_json
from vivavoce.critique.refining import METHODS, Item, RefiningConfig, measure_refining
from vivavoce.critique.spans import TextSpan
from vivavoce.critique.synthetic.registry import generate_problems, make_record, make_tasks
from vivavoce.critique.synthetic.task import Problem, SyntheticTask
from vivavoce.critique.tasks.forms import Rendered
from vivavoce.critique.texts import describe_edit, find_edits
from vivavoce.errors import ConfigError
from vivavoce.grading import Grade, Graded, Ungraded

sys.path.insert(0, str(Path(__file__).parents[1]))
from scripted import Scripted

TASK = make_tasks("quick")["addition"]
PROBLEMS = list(generate_problems(TASK, "test", 24, 0))
RECORDS = [make_record(TASK, problem, Random(number)) for number, problem in enumerate(PROBLEMS)]


def make_model(
    task: SyntheticTask = TASK, *, accuracy: float = 0.5, valid: float = 0.5, ranks: bool = True, breaks: bool = False
) -> Scripted:
    def answer(problem: Problem, rng: Random) -> str:
        return problem.reference if rng.random() < accuracy else task.corrupt(problem, rng).text

    def critique(problem: Problem, text: str, rng: Random) -> str:
        good = task.list_critiques(problem, text)
        return rng.choice(good) if good and rng.random() < valid else str(task.draw_invalid(problem, text, rng))

    def helpful(problem: Problem, text: str, said: str) -> float:
        is_valid = task.check_critique(problem, text, said) == Graded(1.0)
        return (0.9 if is_valid else 0.1) if ranks else 0.5

    def flawed(problem: Problem, text: str) -> float:
        return 1 - getattr(task.check_answer(problem, text), "value", 0.5)

    def refine(problem: Problem, text: str, said: str | None, rng: Random) -> str:
        if breaks:
            return "no idea"
        if said is None or task.check_critique(problem, text, said) != Graded(1.0):
            return text
        return problem.reference

    return Scripted(task, PROBLEMS, answer=answer, flawed=flawed, critique=critique, helpful=helpful, refine=refine)


def scored(text: str, helpfulness: float) -> Scored:
    return Scored(text, Graded(helpfulness), len(text))


def test_the_best_of_one_is_the_first_and_of_all_the_most_helpful() -> None:
    pool = [
        scored("first", 0.2),
        Scored(Ungraded("cut"), Ungraded("cut"), 9),
        scored("third", 0.7),
        scored("fourth", 0.7),
    ]
    assert pick_best(pool, 1) is pool[0]
    assert pick_best(pool, 4) is pool[2]
    assert pick_best(pool[1:2], 1) is None


def test_near_duplicates_count_once_and_the_better_one_stays() -> None:
    pool = [
        scored("The heron stood in the mill pond all day.", 0.3),
        scored("the heron stood in the mill pond, all day!", 0.8),
        scored("It omits the goats.", 0.5),
    ]
    assert [item.text for item in drop_duplicates(pool, 0.8)] == [pool[1].text, pool[2].text]


def test_the_knob_trades_precision_for_recall() -> None:
    pool = [scored('It says "ten" and "two".', 0.3), scored("It is bad.", 0.6)]
    assert [item.text for item in select(pool, threshold=0.5)] == ["It is bad."]
    assert len(select(pool, threshold=0.2)) == 2
    assert str(select(pool, threshold=0.5, length_modifier=1.0)[0].text).startswith("It says")
    assert select(pool, threshold=0.9) == []
    assert len(select(pool, threshold=0.2, limit=1)) == 1
    with pytest.raises(ConfigError, match="above 0 and below 1"):
        select(pool, threshold=1.0)


def test_pools_are_parsed_and_judged() -> None:
    model = make_model(valid=1.0)
    problem = PROBLEMS[0]
    wrong = TASK.corrupt(problem, Random(0)).text
    (pool,) = draw_pools(model, [Target(problem.passage, problem.question, wrong)], Sampling(num_critiques=3))
    assert len(pool) == 3
    assert all(item.helpfulness == Graded(0.9) for item in pool)


def test_a_critic_that_loops_is_counted_and_never_shown() -> None:
    model = make_model()
    model.critique = lambda problem, text, rng: "It is wrong wrong wrong wrong wrong wrong wrong wrong"
    problem = PROBLEMS[0]
    (pool,) = draw_pools(model, [Target(problem.passage, problem.question, "1")], Sampling(num_critiques=2))
    assert [item.text.reason for item in pool if isinstance(item.text, Ungraded)] == ["looped", "looped"]
    assert pick_best(pool, 2) is None
    assert select(pool) == []


def test_a_head_that_knows_ranks_above_every_trivial_ranker() -> None:
    report = measure_ranking(make_model(), list_pairs(RECORDS), seed=0, num_draws=200)
    assert report.accuracy["model"].value == 1
    assert report.lead_over_random.value == 0.5
    assert report.lead_over_best_trivial.low is not None
    assert report.lead_over_best_trivial.low > 0
    assert report.coverage.graded == report.coverage.total


def test_a_head_that_knows_nothing_is_tied_with_chance() -> None:
    report = measure_ranking(make_model(ranks=False), list_pairs(RECORDS), seed=0, num_draws=200)
    assert report.accuracy["model"].value == 0.5
    assert report.lead_over_random.value == 0
    assert report.lead_over_best_trivial.value is not None
    assert report.lead_over_best_trivial.value <= 0


def test_a_head_that_knows_which_cue_holds_where_leads_over_all_and_not_within_a_source() -> None:
    class Cues:
        """Longer is better in one source, shorter in the other; that is all it knows."""

        def sample(self, *_: object, **__: object) -> list[list[Sample]]:
            raise NotImplementedError

        def judge(self, task: str, prompts: Sequence[Rendered]) -> list[Grade]:
            lengths = [len(prompt.prompt) * (1 if "one" in prompt.prompt else -1) for prompt in prompts]
            return [Graded(0.5 + length / 10_000) for length in lengths]

    long, short = "It says far too much about it.", "No."
    pairs = [Pair("one", f"one{k}", f"one {k}", "q", "a", long, short) for k in range(20)]
    pairs += [Pair("two", f"two{k}", f"two {k}", "q", "a", short, long) for k in range(20)]
    report = measure_ranking(Cues(), pairs, seed=0, num_draws=100)
    assert report.lead_over_best_trivial.value == 0.5
    assert {source: found.model.value for source, found in report.by_source.items()} == {"one": 1.0, "two": 1.0}
    assert report.by_source["one"].best_trivial == "longer"
    assert report.by_source["two"].best_trivial == "shorter"
    for found in report.by_source.values():
        lead = found.lead_over_best_trivial
        assert (lead.value, lead.low, lead.high) == (0, pytest.approx(-0.161, abs=1e-3), pytest.approx(0.161, abs=1e-3))
    assert rank_report_to_json(report)["by_source"]


def items() -> list[Item]:
    return [
        Item(problem.passage, problem.passage, problem.question, lambda text, p=problem: TASK.check_answer(p, text))
        for problem in PROBLEMS
    ]


def test_refinement_with_good_critiques_beats_direct_and_costs_what_it_costs() -> None:
    report = measure_refining(make_model(valid=1.0), items(), RefiningConfig(num_critiques=3, num_refinements=2))
    assert set(report.quality) == set(METHODS)
    assert report.quality["conditional_best"].value == 1
    assert report.quality["direct"].value == report.quality["original"].value
    unchanged = report.differences["direct - original"]
    assert unchanged.value == 0
    assert unchanged.high == pytest.approx(3.8415 / (len(PROBLEMS) + 3.8415), abs=1e-4)
    gain = report.differences["conditional_best - direct"]
    assert gain.low is not None
    assert gain.low > 0
    assert report.tokens_per_item["conditional_best"] > report.tokens_per_item["direct"]
    assert report.tokens_per_item["resample"] <= report.tokens_per_item["conditional_best"] * 1.2
    assert report.tokens_per_item["gated_conditional_best"] < report.tokens_per_item["conditional_best"]


def test_a_refiner_that_breaks_form_is_ungraded_not_zero() -> None:
    report = measure_refining(make_model(breaks=True), items(), RefiningConfig(num_critiques=1, num_refinements=1))
    assert report.coverage["direct"].reasons == {"unparsed": len(PROBLEMS)}
    assert report.quality["direct"].value is None
    # the gate leaves right answers alone, so those stay graded
    assert report.coverage["gated_conditional_best"].graded > 0


def test_the_matrix_shows_who_is_flawed_and_who_finds_it() -> None:
    models = {"weak": make_model(accuracy=0.2, valid=0.0), "strong": make_model(accuracy=0.8, valid=1.0)}
    matrix = measure_matrix(models, [TASK], {TASK.name: PROBLEMS}, Sampling(num_critiques=2))
    assert matrix.cells["strong"]["weak"].value == 1
    assert matrix.cells["weak"]["weak"].value == 0
    for row in matrix.cells.values():
        for cell in row.values():
            assert cell.low is not None
            assert cell.high is not None
            assert 0 <= cell.low < cell.high <= 1
    weak, strong = matrix.flawed["weak"].value, matrix.flawed["strong"].value
    assert weak is not None
    assert strong is not None
    assert weak > strong
    assert matrix.coverage["strong"]["weak"][0] == matrix.coverage["strong"]["weak"][1] > 0


FLAW = PlantedFlaw(text="x", answer_spans=(TextSpan(18, 21),))
ANSWER = "The ferry left at ten with two goats."


@pytest.mark.parametrize(
    ("critique", "expected"),
    [
        ('It says "at ten".', True),
        ('It says "two goats".', False),
        ('It says "nine".', False),
        ("The time is not ten.", True),
        ("The ferry is wrong.", False),
        ("", False),
    ],
)
def test_a_hit_quotes_or_names_the_changed_place(critique: str, expected: bool) -> None:
    assert is_hit(critique, ANSWER, FLAW) is expected


def test_a_word_that_stands_elsewhere_too_does_not_single_out_the_place() -> None:
    flaw = PlantedFlaw(text="x", answer_spans=(TextSpan(4, 9),))
    assert not is_hit("The goats are wrong", "The goats saw two goats.", flaw)


def test_planted_precision_recall_and_false_alarms_by_hand() -> None:
    class Fixed:
        def show(self, targets: list[Target]) -> list[list[str]]:
            return [['It says "ten".'] if "ten" in target.answer else ['It says "two".'] * 2 for target in targets]

    clean = ANSWER.replace("ten", "nine")
    twins = [Twins("p1", "p", "q", ANSWER, clean, FLAW), Twins("p2", "p", "q", ANSWER, clean, FLAW)]
    report = measure_planted(Fixed(), twins, seed=0, num_draws=50)
    assert (report.precision.value, report.recall.value, report.false_alarms.value) == (pytest.approx(1 / 3), 1, 1)
    none = compare_recall(report, report, twins)
    # z^2 / (n + z^2) of 2 passages, of either sign: two that agree say little
    assert (none.value, none.low, none.high) == (0, pytest.approx(-0.658, abs=1e-3), pytest.approx(0.658, abs=1e-3))
    assert (report.recall.low, report.recall.high) == (pytest.approx(0.342, abs=1e-3), 1)


def test_a_critic_that_showed_one_critique_has_a_wide_precision() -> None:
    class Once:
        def show(self, targets: list[Target]) -> list[list[str]]:
            return [['It says "two".'] if target.passage == "p0" else [] for target in targets]

    twins = [Twins(f"p{k}", f"p{k}", "q", ANSWER, ANSWER.replace("ten", "nine"), FLAW) for k in range(30)]
    report = measure_planted(Once(), twins, seed=0, num_draws=50)
    # z^2 / (1 + z^2): of one passage
    assert (report.precision.value, report.precision.high) == (0, pytest.approx(0.793, abs=1e-3))
    assert report.recall.high == pytest.approx(0.114, abs=1e-3)


def test_the_lexical_critic_quotes_what_the_passage_lacks() -> None:
    shown = LexicalCritic().show(
        [Target("a ferry left at nine", "q", "A ferry left at midnight"), Target("all here", "q", "all here")]
    )
    assert shown == [['The passage does not say "midnight".'], []]


def test_a_model_critic_is_silent_below_its_threshold() -> None:
    twins = list_twins(RECORDS)
    assert twins
    report = measure_planted(ModelCritic(make_model(valid=1.0), Sampling(num_critiques=2)), twins, seed=0, num_draws=50)
    assert report.false_alarms.value == 0


def test_a_higher_threshold_is_more_precise_and_finds_less_on_the_same_draws() -> None:
    twins = list_twins(RECORDS)
    model = make_model(valid=0.5)
    # sure of what is true, and half sure of what is not
    model.helpful = lambda problem, text, said: 0.8 if TASK.check_critique(problem, text, said) == Graded(1.0) else 0.2
    critic = ModelCritic(model, Sampling(num_critiques=2), limit=2)
    curve = trace_curve(critic, twins, seed=0, thresholds=(0.1, 0.5, 0.9))
    low, middle, high = (curve[threshold] for threshold in (0.1, 0.5, 0.9))
    assert low.false_alarms.value == 1
    assert middle.false_alarms.value == 0
    assert low.precision.value is not None
    assert middle.precision.value is not None
    assert low.precision.value < middle.precision.value
    assert (high.precision.value, high.recall.value) == (None, 0)
    assert curve[0.5][:3] == measure_planted(critic, twins, seed=0)[:3]


@pytest.mark.parametrize(
    ("before", "after", "spans"),
    [
        ("a b c", "a x c", ["x"]),
        ("a b c", "a c", ["c"]),
        ("a b", "a b c d", ["c d"]),
        ("a b c", "a b", ["b"]),
        ("a b", "a b", []),
        ("a b c d", "x b c y", ["x", "y"]),
    ],
)
def test_edits_are_placed_in_the_edited_text(before: str, after: str, spans: list[str]) -> None:
    assert [after[span.begin : span.end] for span, _, _ in find_edits(before, after)] == spans


def test_an_edit_is_described_in_words() -> None:
    assert describe_edit("ten", "nine") == 'It says "ten", but it should say "nine".'
    assert describe_edit("", "nine") == 'It leaves out "nine".'
    assert "does not say" in describe_edit("ten", "")
