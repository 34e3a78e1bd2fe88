"""The language layer and training, on tiny models: batched == alone, resumed == uninterrupted, heads calibrated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vivavoce.critique.calibration import Calibration, fit_calibration, measure_calibration_error
from vivavoce.critique.language import LanguageModel, TokenLoss
from vivavoce.critique.sizes import SIZES, list_headings, list_phrases, make_byte_tokenizer, make_model
from vivavoce.critique.synthetic.registry import make_records, make_tasks
from vivavoce.critique.tasks.examples import DEFAULT_WEIGHTS, Example, make_examples
from vivavoce.critique.tasks.forms import render
from vivavoce.critique.training import TrainingConfig, measure_loss, train
from vivavoce.errors import CheckpointError, ConfigError, DataError
from vivavoce.grading import Graded, Ungraded

TASKS = make_tasks("quick", ["addition", "unscrambling"]).values()


@pytest.fixture(scope="module")
def tiny() -> LanguageModel:
    return LanguageModel(make_model("2xs", seed=0))


def examples(split: str, num: int = 12) -> list[Example]:
    return list(make_examples(make_records(TASKS, split, num, 0)))


def prompts(num: int = 7) -> list:
    return [example.rendered._replace(completion=None) for example in examples("test")[:num]]


def test_the_byte_tokenizer_gives_text_back() -> None:
    tokenizer = make_byte_tokenizer()
    for text in ("7 + 8 = 15", "naïve ☕ ###", "### Answer\nx\n\n### Critique\n", "", " \n\t"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    for piece in [*list_headings(), *list_phrases()]:
        assert len(tokenizer.encode(piece)) == 1


def test_judging_alone_equals_judging_in_a_batch(tiny: LanguageModel) -> None:
    together = tiny.measure_labels("critiqueability", prompts())
    alone = [tiny.measure_labels("critiqueability", [prompt])[0] for prompt in prompts()]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)


def test_losses_alone_equal_losses_in_a_batch_and_a_direct_sum(tiny: LanguageModel) -> None:
    rendered = [example.rendered for example in examples("test")[:5]]
    together = tiny.measure_losses(rendered)
    for prompt, loss in zip(rendered, together):
        assert isinstance(loss, TokenLoss)
        fitted = tiny.fit(prompt)
        ids = torch.tensor([fitted.prompt_ids + fitted.completion_ids])
        labels = ids.clone()
        labels[:, : len(fitted.prompt_ids)] = -100
        mean = tiny.model(input_ids=ids, labels=labels).loss.detach()
        assert loss.nats == pytest.approx(float(mean) * len(fitted.completion_ids), rel=1e-4)
        assert loss.num_chars == len(prompt.completion or "")


def test_greedy_sampling_does_not_depend_on_the_batch(tiny: LanguageModel) -> None:
    together = tiny.sample(prompts(), 1, max_new_tokens=8, temperature=0, seed=0)
    alone = [tiny.sample([prompt], 1, max_new_tokens=8, temperature=0, seed=0)[0] for prompt in prompts()]
    assert together == alone


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_reading_a_prompt_once_for_all_its_completions_gives_the_same_completions(
    tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    once = tiny.sample(prompts(), 3, max_new_tokens=8, temperature=temperature, seed=3)
    assert [len(row) for row in once] == [3] * len(prompts())
    monkeypatch.setattr(tiny, "_read_prompts", lambda *_: None)
    assert tiny.sample(prompts(), 3, max_new_tokens=8, temperature=temperature, seed=3) == once


def test_more_completions_than_fit_a_batch_come_in_several(
    tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny.sample(prompts(2), 5, max_new_tokens=4, temperature=0, seed=0)
    monkeypatch.setattr(tiny, "batch_tokens", 2 * max(len(tiny.fit(prompt).prompt_ids) + 4 for prompt in prompts(2)))
    assert tiny.sample(prompts(2), 5, max_new_tokens=4, temperature=0, seed=0) == whole


def test_sampling_is_seeded_and_leaves_the_callers_random_state(tiny: LanguageModel) -> None:
    before = torch.random.get_rng_state()
    first = tiny.sample(prompts(3), 2, max_new_tokens=6, temperature=1, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert tiny.sample(prompts(3), 2, max_new_tokens=6, temperature=1, seed=1) == first
    assert tiny.sample(prompts(3), 2, max_new_tokens=6, temperature=1, seed=2) != first
    assert all(len(row) == 2 and sample.num_tokens <= 6 for row in first for sample in row)


def test_labels_without_probability_are_ungraded(tiny: LanguageModel) -> None:
    head = tiny.model.get_output_embeddings().weight
    saved = head.detach().clone()
    try:
        with torch.no_grad():
            head[tiny.encode("Yes")[0]] = 0
            head[tiny.encode("No")[0]] = 0
            head.mul_(200)
        grades = tiny.judge("helpfulness", [render("helpfulness", passage="p", question="q", answer="a", critique="c")])
    finally:
        with torch.no_grad():
            head.copy_(saved)
    assert isinstance(grades[0], Ungraded)
    assert grades[0].reason == "no_yes_no"


def test_a_passage_longer_than_the_context_is_cut_and_a_question_is_not(tiny: LanguageModel) -> None:
    long = render("critiqueability", passage="word " * 2000, question="q", answer="a")
    (grade,) = tiny.judge("critiqueability", [long])
    assert isinstance(grade, Graded | Ungraded)
    assert len(tiny.fit(long, reserve_tokens=1).prompt_ids) < tiny.context_tokens
    with pytest.raises(DataError, match="without any passage"):
        tiny.measure_labels(
            "critiqueability", [render("critiqueability", passage="p", question="x" * 2000, answer="a")]
        )
    assert tiny.measure_losses([render("answer", passage="p", question="x" * 2000, target="a")]) == [
        Ungraded("too_long")
    ]


def test_training_resumed_equals_training_uninterrupted(tmp_path: Path) -> None:
    config = TrainingConfig(base="2xs", num_examples=48, batch_examples=8, save_every_steps=2)
    data, held = examples("train"), examples("validation", 6)
    train(config, data, held, tmp_path / "whole")
    train(config, data, held, tmp_path / "cut", stop_after_steps=4)
    (tmp_path / "cut" / "manifest.json").unlink()
    train(config, data, held, tmp_path / "cut", resume=True)
    whole, resumed = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "cut"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    manifest = json.loads((tmp_path / "cut" / "manifest.json").read_text())
    assert manifest["num_steps"] == 6
    assert manifest["loss_nats_per_char"]["n"] == 12
    loaded = LanguageModel.load(str(tmp_path / "cut" / "model"))
    assert set(loaded.calibrations) == {"critiqueability", "helpfulness"}
    other = TrainingConfig(base="2xs", num_examples=48, batch_examples=8, save_every_steps=2, learning_rate=0.01)
    with pytest.raises(ConfigError, match="learning_rate"):
        train(other, data, held, tmp_path / "cut", resume=True)


def test_lora_trains_and_saves_a_plain_model(tmp_path: Path) -> None:
    config = TrainingConfig(base="2xs", num_examples=16, batch_examples=8, lora_rank=2)
    language, report = train(config, examples("train"), examples("validation", 4), tmp_path / "lora")
    assert report.num_steps == 2
    names = load_file(tmp_path / "lora" / "model" / "model.safetensors").keys()
    assert not any("lora" in name for name in names)
    loaded = LanguageModel.load(str(tmp_path / "lora" / "model"))
    sample = prompts(2)
    np.testing.assert_allclose(
        loaded.measure_labels("critiqueability", sample), language.measure_labels("critiqueability", sample), rtol=1e-3
    )


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    held = examples("validation", 6)
    before, _ = measure_loss(LanguageModel(make_model("2xs", seed=0)), held)
    config = TrainingConfig(base="2xs", num_examples=320, batch_examples=16, learning_rate=5e-3)
    _, report = train(config, examples("train"), held, tmp_path / "run")
    assert before.value is not None
    assert report.loss.value is not None
    assert report.loss.value < before.value - 0.5
    assert set(report.loss_by_task) == set(DEFAULT_WEIGHTS)


def test_a_passage_in_both_sets_is_refused(tmp_path: Path) -> None:
    data = examples("train")
    with pytest.raises(DataError, match="split by passage"):
        train(TrainingConfig(base="2xs"), data, data[:5], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_training_on_what_cannot_fit_is_refused_not_zero_loss(tmp_path: Path) -> None:
    target = render("answer", passage="p", question="q" * 900, target="a")
    data = [Example("answer", "s", "p1", target)]
    with pytest.raises(DataError, match="none of 4 examples fits"):
        train(TrainingConfig(base="2xs", num_examples=4, weights={"answer": 1}), data, [], tmp_path / "run")


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="size 'q' is not one of"):
        TrainingConfig(base="q")
    with pytest.raises(ConfigError, match="learning_rate"):
        TrainingConfig(learning_rate=0)
    with pytest.raises(ConfigError, match="num_examples"):
        TrainingConfig(num_examples=0)


def test_every_size_can_be_made() -> None:
    for name in ("2xs", "xs", "s"):
        assert make_model(name, seed=0).model.config.hidden_size == SIZES[name].width


def test_a_broken_calibration_file_is_said(tmp_path: Path) -> None:
    LanguageModel(make_model("2xs", seed=0)).save(tmp_path)
    (tmp_path / "calibration.json").write_text('{"helpfulness": {"slope": 1}}')
    with pytest.raises(CheckpointError, match="is broken"):
        LanguageModel.load(str(tmp_path))


def test_calibration_recovers_a_planted_scale_and_offset() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 3, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * odds - 0.7)))
    fitted = fit_calibration(odds, list(labels))
    assert fitted.scale == pytest.approx(0.5, abs=0.03)
    assert fitted.offset == pytest.approx(-0.7, abs=0.05)
    before = measure_calibration_error(1 / (1 + np.exp(-odds)), list(labels))
    after = measure_calibration_error([fitted.apply(value) for value in odds], list(labels))
    assert after < 0.02 < before
    assert Calibration().apply(0.0) == 0.5
    with pytest.raises(DataError, match="needs both yes and no"):
        fit_calibration([1.0, 2.0], [True, True])
    with pytest.raises(DataError, match="not finite"):
        fit_calibration([1.0, float("nan")], [True, False])


def test_a_prompt_that_cannot_fit_is_ungraded_and_the_others_are_judged(tiny: LanguageModel) -> None:
    long = render("helpfulness", passage="p", question="q", answer="a" * 600, critique="c")
    short = render("helpfulness", passage="p", question="q", answer="a", critique="c")
    first, second, third = tiny.judge("helpfulness", [short, long, short])
    assert isinstance(second, Ungraded)
    assert second.reason == "too_long"
    assert first == third
    assert first == tiny.judge("helpfulness", [short])[0]
