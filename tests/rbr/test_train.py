"""Real training runs of TRL on a tiny random model: the reward is called, the weights move, the run is told."""

import contextlib
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from vivavoce.cli import main
from vivavoce.errors import ConfigError, VivaError
from vivavoce.grading import Grade, Graded
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.features import FeatureMaker
from vivavoce.rbr.graders.interface import GradeRequest, ScriptedGrader, Usage
from vivavoce.rbr.prompts import load_prompts
from vivavoce.rbr.reward import RuleReward
from vivavoce.rbr.train import TrainConfig, fine_tune, train
from vivavoce.rbr.weights import RewardWeights
from vivavoce.run import Run
from vivavoce.text_models import TextModel

RULES = load_rules()
WEIGHTS = {kind: {RULES.response_types[kind].features[0]: 1.0} for kind in RULES.response_types}


class Letters:
    """Grades by the letters of a reply, so that completions differ."""

    identity = "letters"

    def __init__(self) -> None:
        self.usage = Usage()

    async def grade(self, request: GradeRequest) -> dict[str, Grade]:
        text = request.item.completion
        share = sum(map(ord, text)) % 97 / 97
        return {name: Graded(share) for name in request.propositions}


def tiny_model() -> TextModel:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", pad_token="<pad>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, eos_token_id=256, pad_token_id=257, bos_token_id=None,
    )  # fmt: skip
    return TextModel(LlamaForCausalLM(config).eval(), tokenizer)


def write_weights(path: Path) -> Path:
    weights = {kind: {"weights": by_name} for kind, by_name in WEIGHTS.items()}
    path.write_text(json.dumps({"format": 1, "by_response_type": weights, "made_with": {}}))
    return path


def make_reward() -> RuleReward:
    return RuleReward(
        maker=FeatureMaker(RULES),
        weights=RewardWeights(by_response_type=WEIGHTS),
        grader=Letters(),
        shadow=ScriptedGrader(default=0.5),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "lora_rank", "frozen"), [("grpo", 0, "float32"), ("rloo", 4, "float32"), ("grpo", 4, "bfloat16")]
)
def test_trl_trains_with_the_reward(tmp_path: Path, algorithm: Any, lora_rank: int, frozen: Any) -> None:
    text_model = tiny_model()
    before = {name: value.clone() for name, value in text_model.model.state_dict().items()}
    config = TrainConfig(
        algorithm=algorithm, num_steps=2, num_generations=2, batch_prompts=2, max_tokens=6, learning_rate=1e-2,
        lora_rank=lora_rank, frozen=frozen,
    )  # fmt: skip
    run = Run.open(tmp_path / "run", {"train": "tiny"})
    folder = train(text_model, load_prompts(RULES, "train")[:4], make_reward(), config, run)
    trained = LlamaForCausalLM.from_pretrained(folder)
    assert trained.dtype == torch.float32, "adapters are merged at full precision"
    after = trained.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    records = [json.loads(line) for line in (run.path / "rewards.jsonl").read_text().splitlines()]
    assert len(records) == 2
    assert records[0]["reward/coverage"] == 1
    assert "shadow/rbr" in records[0]
    assert json.loads((run.path / "manifest.json").read_text())["grader"] == "letters"
    assert any("reward" in name for record in run.read_metrics() for name in record)


@pytest.mark.slow
def test_train_and_eval_run_from_the_command_line_and_refuse_the_rewards_own_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text_model, base, arm = tiny_model(), tmp_path / "base", tmp_path / "arm"
    text_model.model.save_pretrained(base)
    text_model.tokenizer.save_pretrained(base)
    words = ["rbr", "train", str(arm), "--weights", str(write_weights(tmp_path / "w.json")), "--grader", "checkers",
             "--shadow", "offline", "--limit", "1", "--train.model", str(base), "--train.num-steps", "1",
             "--train.num-generations", "2", "--train.batch-prompts", "2", "--train.max-tokens", "6"]  # fmt: skip
    assert main(words) == 0
    assert "judge it with another grader" in capsys.readouterr().out
    assert main(["rbr", "eval", "--run", str(arm), "--judge", "checkers"]) == 2
    assert "judge with another one" in capsys.readouterr().err
    words = ["rbr", "eval", "--run", str(arm), "--judge", "offline", "--limit", "1", "--max-tokens", "6"]
    assert main([*words, "--json", str(tmp_path / "eval.json")]) == 0
    found = json.loads((tmp_path / "eval.json").read_text())
    assert found["coverage"] == {"graded": 9, "total": 9, "reasons": {}}
    assert found["not_overrefuse"]["n"] > 0, "what should be answered is judged too"
    assert found["capability"]["n"] == 20


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_steps": 0}, "num_steps is 0; need 1 or more"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"batch_prompts": -1}, "batch_prompts is -1"),
        ({"num_generations": 1}, "num_generations is 1; need 2 or more"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; need a finite number above 0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"lora_rank": 0, "frozen": "bfloat16"}, "no weight is frozen"),
    ],
)
def test_settings_that_train_nothing_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        TrainConfig(**change)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--weights", "nosuch.json"), "no weights file nosuch.json"),
        (("--grader", "nosuch"), "grader 'nosuch'"),
        (("--sft", "nosuch.jsonl"), "no conversations nosuch.jsonl"),
        (("--limit", "0"), "limit is 0; need 1 or more prompts"),
        (("--train.model", "./nosuch"), "no text model './nosuch'"),
        ((), "there is nothing to reward"),
    ],
)
def test_a_wrong_name_is_refused_before_a_run_directory_is_made(
    words: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    given = () if not words or "--weights" in words else ("--weights", str(write_weights(tmp_path / "w.json")))
    assert main(["rbr", "train", str(tmp_path / "arm"), *given, *words]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "arm").exists()


def test_a_directory_in_use_is_refused_and_no_flag_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["rbr", "train", str(tmp_path)]) == 2
    assert "cannot go on from the middle; name another directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{half", "line 2: not a conversation"),
        ('{"prompt": "Hi"}', "line 2: not a conversation"),
        ('{"messages": [{"role": "user", "content": "Hi"}]}', "line 2: need messages of text that end"),
    ],
)
def test_a_broken_line_to_fine_tune_on_is_named(
    line: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    (tmp_path / "sft.jsonl").write_text(json.dumps({"messages": turns}) + "\n" + line + "\n")
    words = ["--weights", str(write_weights(tmp_path / "w.json")), "--sft", str(tmp_path / "sft.jsonl")]
    assert main(["rbr", "train", str(tmp_path / "arm"), *words]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--samples", "0"), "samples is 0; need 1 or more"),
        (("--samples", "2"), "several samples need --temperature above 0"),
        (("--max-tokens", "0"), "max_tokens is 0"),
        (("--batch-size", "0"), "batch_size is 0"),
        (("--temperature", "-1"), "temperature is -1.0; need 0"),
        (("--limit", "0"), "limit is 0"),
        (("--run", "nosuch"), "nosuch is no complete training run"),
    ],
)
def test_an_evaluation_of_nothing_is_refused(
    words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rbr", "eval", "--judge", "checkers", *words]) == 2
    assert says in capsys.readouterr().err


def test_a_completion_that_nobody_graded_is_not_written_to_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: written.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("trl.trainer.grpo_trainer")
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "level", logging.WARNING)
    monkeypatch.setattr(logger, "handlers", [handler])
    config = TrainConfig(num_steps=1, num_generations=2, batch_prompts=2, max_tokens=6)
    unable = replace(make_reward(), grader=ScriptedGrader(default=None), shadow=None)
    run = Run.open(tmp_path / "run", {"train": "tiny"})
    rows = load_prompts(RULES, "train")[:2]
    with contextlib.suppress(
        VivaError, ValueError
    ):  # what becomes of a batch without a single reward is not the matter
        train(tiny_model(), rows, unable, config, run)
    assert any("left ungraded" in line for line in written)
    assert not any(row.messages[-1].text in line for row in rows for line in written)


def test_fine_tuning_makes_the_answer_likelier() -> None:
    text_model = tiny_model()
    rows = [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}]

    def loss() -> float:
        ids = torch.tensor([text_model.tokenizer.encode("user: Hi\n\nassistant:Hello", add_special_tokens=False)])
        with torch.inference_mode():
            return float(text_model.model(input_ids=ids, labels=ids).loss)

    start = loss()
    fine_tune(text_model, rows, num_epochs=20, learning_rate=1e-2, seed=0)
    assert loss() < start
    assert not text_model.model.training
