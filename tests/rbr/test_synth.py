"""Contrast data, prompts, evaluation, and a real (tiny) training run."""

import json
from pathlib import Path
from typing import Any

import pytest

from vivavoce.cli import main
from vivavoce.errors import ConfigError, DataError
from vivavoce.grading import Graded
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.comparisons import read_comparisons
from vivavoce.rbr.evaluate import evaluate_completions, find_refused, measure_capability
from vivavoce.rbr.graders.interface import ScriptedGrader
from vivavoce.rbr.prompts import Prompt, load_prompts, refuse_shared_texts
from vivavoce.rbr.synth import (
    Made,
    SynthConfig,
    load_contrast,
    make_completions,
    plan_targets,
    read_completions,
    verify,
)
from vivavoce.rbr.writers import ScriptedWriter, instruct

RULES = load_rules()
CONTRAST = load_contrast(RULES)
TRAIN = load_prompts(RULES, "train")


def first(kind: str) -> Prompt:
    return next(prompt for prompt in TRAIN if prompt.response_type == kind)


def test_train_and_test_prompts_cover_every_response_type_and_share_no_request() -> None:
    test = load_prompts(RULES, "test")
    kinds = set(RULES.response_types)
    assert {prompt.response_type for prompt in TRAIN} == {prompt.response_type for prompt in test} == kinds
    assert not {p.messages[0].text for p in TRAIN} & {p.messages[0].text for p in test}
    with pytest.raises(ConfigError, match="are the same request"):
        refuse_shared_texts(TRAIN[:1], TRAIN[:1])


@pytest.mark.parametrize("kind", list(RULES.response_types))
def test_the_best_target_of_a_plan_is_in_the_ideal_class_and_the_worst_is_not(kind: str) -> None:
    targets = plan_targets(RULES, CONTRAST, first(kind), seed=0)
    classes = [RULES.assign_class(kind, target.wanted) for target in targets]
    assert classes[0] == "ideal"
    assert classes.count("ideal") <= 2  # a partial answer still complies
    assert "ideal" not in classes[-1]


def test_targets_are_the_same_for_the_same_seed_and_differ_between_prompts() -> None:
    refusals = [prompt for prompt in TRAIN if prompt.response_type == "hard_refuse"][:8]
    once = [plan_targets(RULES, CONTRAST, prompt, seed=1) for prompt in refusals]
    assert once == [plan_targets(RULES, CONTRAST, prompt, seed=1) for prompt in refusals]
    assert len({tuple(sorted(targets[1].wanted.items())) for targets in once}) > 1


def test_a_scripted_ideal_refusal_is_one_apology_and_one_inability() -> None:
    prompt = first("hard_refuse")
    text = ScriptedWriter(CONTRAST.phrases).write(prompt, plan_targets(RULES, CONTRAST, prompt, 0)[0].wanted, seed=3)
    assert len(text.split()) < 15
    assert text == ScriptedWriter(CONTRAST.phrases).write(
        prompt, plan_targets(RULES, CONTRAST, prompt, 0)[0].wanted, seed=3
    )


def test_a_writer_is_told_what_must_and_must_not_hold() -> None:
    prompt = first("hard_refuse")
    target = plan_targets(RULES, CONTRAST, prompt, 0)[0]
    text = instruct(prompt.messages, target.wanted, RULES.propositions)[-1].text
    assert RULES.propositions["apology"].make_true in text
    assert RULES.propositions["judgement"].make_false in text


class Stuttering:
    """Writes junk until its third attempt."""

    identity = "stuttering"

    def __init__(self) -> None:
        self.calls = 0

    def write(self, prompt: Prompt, wanted: Any, seed: int) -> str:
        self.calls += 1
        return "good" if self.calls % 3 == 0 else "junk"


def test_what_does_not_verify_is_sampled_again_and_given_up_visibly(tmp_path: Path) -> None:
    prompt = first("hard_refuse")
    ideal = plan_targets(RULES, CONTRAST, prompt, 0)[0]
    table = {"good": {name: float(value) for name, value in ideal.wanted.items()}}
    grader = ScriptedGrader(table=table, default=0.5)
    writer = Stuttering()
    config = SynthConfig(max_attempts=3, tolerance=0)
    rows = make_completions([prompt], RULES, CONTRAST, writer, grader, {}, config, tmp_path / "c.jsonl")
    assert (rows[0].is_verified, rows[0].num_attempts) == (True, 3)
    assert not any(row.is_verified for row in rows[1:])
    before = writer.calls
    again = make_completions([prompt], RULES, CONTRAST, writer, grader, {}, config, tmp_path / "c.jsonl")
    assert writer.calls == before
    assert again == rows


def test_an_ungraded_proposition_never_verifies() -> None:
    target = plan_targets(RULES, CONTRAST, first("comply"), 0)[0]
    assert not verify({}, target, {}, tolerance=99)
    assert verify({name: Graded(float(value)) for name, value in target.wanted.items()}, target, {}, tolerance=0)


def test_a_line_cut_short_by_a_kill_is_made_again_and_other_damage_is_named(tmp_path: Path) -> None:
    prompt = first("comply")
    path = tmp_path / "c.jsonl"
    config = SynthConfig(is_trusting=True)
    writer = ScriptedWriter(CONTRAST.phrases)
    rows = make_completions([prompt], RULES, CONTRAST, writer, ScriptedGrader(), {}, config, path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1][:30]]))
    assert read_completions(path) == rows[:-1]
    path.write_text("\n".join([lines[0][:30], *lines[1:]]) + "\n")
    with pytest.raises(DataError, match=r"c\.jsonl, line 1: not a made completion"):
        read_completions(path)


def test_going_on_after_a_kill_leaves_a_file_that_can_be_read_again(tmp_path: Path) -> None:
    path, writer = tmp_path / "c.jsonl", ScriptedWriter(CONTRAST.phrases)

    def make() -> list[Made]:
        config = SynthConfig(is_trusting=True)
        return make_completions([first("comply")], RULES, CONTRAST, writer, ScriptedGrader(), {}, config, path)

    rows = make()
    whole = path.read_text()
    path.write_text(whole[: whole.index("\n") + 30])
    assert make() == rows
    assert path.read_text() == whole, "no trace of the line that was cut short"
    assert make() == rows


def test_going_on_grades_what_failed_to_be_graded_and_nothing_else(tmp_path: Path) -> None:
    prompt, path, config = first("hard_refuse"), tmp_path / "c.jsonl", SynthConfig(max_attempts=1, tolerance=0)
    writer = ScriptedWriter(CONTRAST.phrases)
    texts = [
        writer.write(prompt, target.wanted, 1000 * i + 1)
        for i, target in enumerate(plan_targets(RULES, CONTRAST, prompt, 0))
    ]
    wanted = [target.wanted for target in plan_targets(RULES, CONTRAST, prompt, 0)]
    table = {text: {name: float(value) for name, value in row.items()} for text, row in zip(texts, wanted)}
    away = {text: row for text, row in table.items() if text != texts[-1]}
    rows = make_completions([prompt], RULES, CONTRAST, writer, ScriptedGrader(table=away), {}, config, path)
    assert [row.is_verified for row in rows] == [True] * (len(rows) - 1) + [False]
    again = make_completions(
        [prompt], RULES, CONTRAST, writer, ScriptedGrader(table={texts[-1]: table[texts[-1]]}), {}, config, path
    )
    assert all(row.is_verified for row in again)
    assert read_completions(path) == again


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--writer", "nosuch"), "need scripted, local:MODEL"),
        (("--grader", "nosuch"), "need offline, checkers"),
        (("--reward-model", "nosuch"), "need linear:FOLDER"),
        (("--reward-model", "linear:nosuch"), "no reward model in nosuch"),
        (("--prompts", "nosuch"), "no rule file 'nosuch'"),
        (("--limit", "0"), "limit is 0; need 1 or more prompts"),
        (("--attempts", "0"), "attempts is 0"),
    ],
)
def test_a_wrong_flag_is_refused_and_leaves_no_directory(
    words: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rbr", "synth", str(tmp_path / "made"), *words]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_synth_fit_and_audit_run_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made"
    assert main(["rbr", "synth", str(made), "--grader", "none", "--limit", "4"]) == 0
    rows = read_comparisons(made / "comparisons.jsonl")
    assert {row.response_type for row in rows} == set(RULES.response_types)
    sft = [json.loads(line) for line in (made / "sft.jsonl").read_text().splitlines()]
    assert all(line["messages"][-1]["role"] == "assistant" for line in sft)
    orders = [f"{kind}: {order}" for kind, order in CONTRAST.orders.items()]
    fit = ["rbr", "fit", str(made / "comparisons.jsonl"), "--order", *orders, "--ridge", "0.01"]
    assert main([*fit, "--json", str(tmp_path / "w.json")]) == 0
    audit = ["rbr", "audit", str(made / "comparisons.jsonl"), "--weights", str(tmp_path / "w.json")]
    assert main([*audit, "--report", str(tmp_path / "a.html"), "--json", str(tmp_path / "a.json")]) == 0
    rates = json.loads((tmp_path / "a.json").read_text())["error_rates"]
    assert all(rate["rbr"]["value"] < 0.1 for rate in rates.values())
    assert "hard_refuse" in capsys.readouterr().out
    assert main(["rbr", "synth", str(made), "--grader", "none", "--limit", "4"]) == 2


def test_evaluation_counts_both_sides_from_judged_truths() -> None:
    names = tuple(RULES.propositions)
    base = dict.fromkeys(names, 0.0)
    refusal = base | {"apology": 1.0, "inability_to_comply": 1.0}
    table = {"refuse": refusal, "comply": base | {"partially_complies": 1.0, "fully_complies": 1.0},
             "harm": base | {"disallowed_content": 1.0, "partially_complies": 1.0}}  # fmt: skip
    hard, comply = first("hard_refuse"), first("comply")
    other = [prompt for prompt in TRAIN if prompt.response_type == "comply"][1]
    found = evaluate_completions(
        [hard, hard, comply, other, other], ["refuse", "harm", "comply", "refuse", "unknown"], RULES,
        ScriptedGrader(table=table), {},
    )  # fmt: skip
    assert found.not_unsafe.value == pytest.approx(3 / 4)
    assert found.not_overrefuse.value == pytest.approx(1 / 2)
    assert found.f1.value == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert found.style["hard_refuse"].value == pytest.approx(1 / 2)
    assert (found.coverage.graded, found.coverage.total) == (4, 5)


def test_an_f1_that_no_draw_moves_keeps_an_honest_interval() -> None:
    base = dict.fromkeys(RULES.propositions, 0.0)
    judge = ScriptedGrader(table={"no": base | {"apology": 1.0, "inability_to_comply": 1.0}})
    prompts = [prompt for prompt in TRAIN if prompt.response_type in ("comply", "hard_refuse")]
    found = evaluate_completions(prompts, ["no"] * len(prompts), RULES, judge, {})
    assert (found.not_unsafe.value, found.not_overrefuse.value, found.f1.value) == (1.0, 0.0, 0.0)
    high = found.not_overrefuse.high
    assert high is not None
    assert high > 0
    assert found.f1.low == 0
    assert found.f1.high == pytest.approx(2 * high / (1 + high))


def test_unsafe_by_compliance_counts_only_requests_to_be_refused_and_asks_the_judge_for_what_it_needs() -> None:
    assert find_refused(RULES) == {"hard_refuse", "soft_refuse_instructions"}
    base = dict.fromkeys(RULES.propositions, 0.0)
    table = {"gives": base | {"partially_complies": 1.0}, "refuses": base | {"inability_to_comply": 1.0}}
    # disallowed content as a hasty judge sees it everywhere
    table = {text: row | {"disallowed_content": 1.0} for text, row in table.items()}
    kinds = ("hard_refuse", "soft_refuse_instructions", "soft_refuse_instructions", "soft_refuse_intent", "comply")
    replies = ["gives", "refuses", "refuses", "gives", "gives"]
    prompts, judge = [first(kind) for kind in kinds], ScriptedGrader(table=table)
    found = evaluate_completions(prompts, replies, RULES, judge, {}, unsafe_by="compliance")
    assert (found.not_unsafe.value, found.not_unsafe.n) == (pytest.approx(2 / 3), 2)
    assert found.not_overrefuse.value == 1
    assert found.f1.value == pytest.approx(2 * (2 / 3) / (5 / 3))
    assert found.to_json()["unsafe_by"] == "compliance"
    assert evaluate_completions(prompts, replies, RULES, judge, {}).not_unsafe.value == 0


def test_prompts_for_training_with_the_reward_have_as_many_to_answer_as_to_refuse() -> None:
    for split in ("train", "test"):
        prompts = load_prompts(RULES, split, "balanced_prompts")
        comply = sum(prompt.response_type == "comply" for prompt in prompts)
        assert 0.4 < comply / len(prompts) < 0.6
        assert {prompt.area for prompt in prompts} == set(RULES.content_areas)
    assert all(
        p.answer and p.part for p in load_prompts(RULES, "train", "balanced_prompts") if p.response_type == "comply"
    )


def test_the_capability_check_prefers_the_likelier_ending() -> None:
    assert measure_capability(lambda _, ending: -len(ending)).n == 20
    perfect = {" Paris", " five", " cold"}
    share = measure_capability(lambda _, ending: 1.0 if ending in perfect else 0.0)
    assert share.value == pytest.approx(3 / 20)
