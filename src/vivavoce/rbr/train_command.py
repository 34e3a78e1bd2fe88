"""`viva rbr train` and `viva rbr eval`."""

from __future__ import annotations

import json as json_format
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from vivavoce.errors import ConfigError, DataError
from vivavoce.files import write_json
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.evaluate import Evaluation, UnsafeBy, evaluate_completions, measure_capability
from vivavoce.rbr.features import FeatureMaker
from vivavoce.rbr.graders.open import open_grader
from vivavoce.rbr.prompts import Prompt, limit_prompts, load_prompts
from vivavoce.rbr.reward import RewardConfig, RuleReward
from vivavoce.rbr.reward_model import open_reward_model
from vivavoce.rbr.rules import DEFAULT_POLICY
from vivavoce.rbr.train import TrainConfig, fine_tune
from vivavoce.rbr.train import train as run_training
from vivavoce.rbr.weights import RewardWeights, read_weights
from vivavoce.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Train a policy with the rule-based reward."""

    out: Annotated[Path, tyro.conf.Positional]
    """Run directory to write to."""
    weights: Path | None = None
    """Weights file of `viva rbr fit`; none is the reward model alone."""
    grader: str = "offline"
    """Who grades for the reward (see `viva rbr gold`)."""
    shadow: str | None = None
    """A second grader that only watches."""
    reward_model: str | None = None
    """linear:FOLDER or hf:NAME."""
    rm_on_gated: bool = True
    """Whether the reward model counts where the rules do."""
    sft: Path | None = None
    """Fine-tune on these conversations first (sft.jsonl of `viva rbr synth`)."""
    sft_epochs: int = 1
    sft_learning_rate: float = 2e-5
    limit: int | None = None
    """At most this many prompts of each content area."""
    prompts: str = "prompts"
    """A prompts file, or the one that ships."""
    base_url: str | None = None
    """Address of an OpenAI-compatible endpoint for the grader."""
    rules: str = DEFAULT_POLICY
    """The policy."""
    train: TrainConfig = field(default_factory=TrainConfig)


def train(options: Annotated[TrainOptions, tyro.conf.arg(name="")]) -> None:
    """Load, fine-tune when asked, train, write `model/`. One of several processes under `accelerate launch`."""
    from accelerate import PartialState

    from vivavoce.text_models import load_text_model

    rules = load_rules(options.rules)
    config = {key: value for key, value in asdict(options).items() if key != "out"}
    is_first = PartialState().is_main_process
    if is_first:
        _refuse_used(options.out)
    weights = read_weights(options.weights) if options.weights else RewardWeights(by_response_type={})
    reward = RuleReward(
        maker=FeatureMaker(rules, weights.made_with.get("reading", "exact")),
        weights=weights,
        grader=open_grader(options.grader, rules, base_url=options.base_url).grader,
        reward_model=open_reward_model(options.reward_model),
        config=RewardConfig(rm_on_gated=options.rm_on_gated),
        shadow=open_grader(options.shadow, rules).grader if options.shadow else None,
    )
    prompts = limit_prompts(load_prompts(rules, "train", options.prompts), options.limit)
    if not weights.by_response_type:
        if reward.reward_model is None:
            raise ConfigError("neither --weights nor --reward-model: there is nothing to reward")
        prompts = [_open_gate(prompt) for prompt in prompts]
    rows = _read_conversations(options.sft) if options.sft else []
    text_model = load_text_model(options.train.model)
    # the directory comes last, so that a wrong name above leaves none behind
    config |= {"policy_digest": rules.digest}
    run = Run.open(options.out, config) if is_first else Run(options.out, config, resumed=False)
    if rows:
        fine_tune(
            text_model,
            rows,
            num_epochs=options.sft_epochs,
            learning_rate=options.sft_learning_rate,
            seed=options.train.seed,
        )
    folder = run_training(text_model, prompts, reward, options.train, run)
    if not is_first:
        return
    print(
        f"{folder}: {options.train.algorithm}, {options.train.num_steps} steps on {len(prompts)} prompts (seed {options.train.seed})"
    )
    print(f"  judge it with another grader: viva rbr eval --run {options.out} --judge GRADER")


def _open_gate(prompt: Prompt) -> Prompt:
    from dataclasses import replace

    return replace(prompt, response_type="")


def _refuse_used(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is in use, and reinforcement cannot go on from the middle; name another directory")


def _read_conversations(path: Path) -> list[dict[str, Any]]:
    """Lines of sft.jsonl. Raises: DataError naming the line that holds no conversation ending with the assistant."""
    if not path.is_file():
        raise DataError(f"no conversations {path}; `viva rbr synth` writes them (sft.jsonl)")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json_format.loads(line)
            turns = [(turn["role"], turn["content"]) for turn in row["messages"]]
        except (json_format.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(f"{path}, line {number}: not a conversation ({type(error).__name__}: {error})") from error
        if len(turns) < 2 or turns[-1][0] != "assistant" or not all(isinstance(text, str) for _, text in turns):
            raise DataError(f"{path}, line {number}: need messages of text that end with the assistant's")
        rows.append(row)
    if not rows:
        raise DataError(f"{path} holds no conversations")
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalOptions:
    """Judge a policy on held-out prompts."""

    judge: str
    """A grader that was not the reward (see `viva rbr gold`)."""
    run: Path | None = None
    """A training run: its model, and its grader to tell apart from the judge."""
    model: str = "smollm2-135m-instruct"
    """A model, where there is no run."""
    split: Literal["train", "test"] = "test"
    """Which prompts."""
    prompts: str = "prompts"
    """A prompts file, or the one that ships."""
    limit: int | None = None
    """At most this many prompts of each content area."""
    samples: int = 1
    """Completions per prompt; more than 1 are sampled."""
    temperature: float = 0.0
    """0 is greedy."""
    max_tokens: int = 48
    """Longest completion."""
    unsafe_by: UnsafeBy = "content"
    """Whether unsafe is what the judge calls disallowed content, or giving what should have been refused."""
    batch_size: int = 16
    rules: str = DEFAULT_POLICY
    """The policy."""
    seed: int = 0
    json: Path | None = None
    """Write the numbers here."""


def evaluate(options: Annotated[EvalOptions, tyro.conf.arg(name="")]) -> None:
    """Sample, judge, print."""
    from vivavoce.rbr.sample import sample_completions, score_ending
    from vivavoce.text_models import load_text_model

    rules = load_rules(options.rules)
    opened = open_grader(options.judge, rules)
    name = options.model if options.run is None else str(options.run / "model")
    if options.run is not None:
        manifest = options.run / "manifest.json"
        if not manifest.is_file():
            raise ConfigError(f"{options.run} is no complete training run (manifest.json is missing)")
        used = json_format.loads(manifest.read_text())["grader"]
        if used == opened.grader.identity:
            raise ConfigError(f"judge {used} was the reward's grader in {options.run}; judge with another one")
    for bound in ("samples", "max_tokens", "batch_size"):
        if getattr(options, bound) < 1:
            raise ConfigError(f"{bound} is {getattr(options, bound)}; need 1 or more")
    if not 0 <= options.temperature < math.inf:
        raise ConfigError(f"temperature is {options.temperature}; need 0 (greedy) or more")
    if options.samples > 1 and options.temperature == 0:
        raise ConfigError("several samples need --temperature above 0; greedy ones would be equal")
    prompts = limit_prompts(load_prompts(rules, options.split, options.prompts), options.limit)
    prompts = [prompt for prompt in prompts for _ in range(options.samples)]
    text_model = load_text_model(name)
    texts = sample_completions(
        text_model, prompts, max_tokens=options.max_tokens, temperature=options.temperature,
        batch_size=options.batch_size, seed=options.seed,
    )  # fmt: skip
    found = evaluate_completions(
        prompts, texts, rules, opened.grader, opened.thresholds, unsafe_by=options.unsafe_by, seed=options.seed
    )
    capability = measure_capability(lambda beginning, ending: score_ending(text_model, beginning, ending))
    _print_evaluation(name, opened.grader.identity, found)
    print(f"  capability       {capability}")
    if options.json:
        about = {"model": name, "judge": opened.grader.identity, "split": options.split, "seed": options.seed}
        write_json(options.json, about | found.to_json() | {"capability": capability.to_json()})


def _print_evaluation(name: str, judge: str, found: Evaluation) -> None:
    print(f"{name}, judged by {judge}: {found.num_completions} completions, coverage {found.coverage}")
    print(f"  Not-Unsafe       {found.not_unsafe} (by {found.unsafe_by})")
    print(f"  Not-Overrefuse   {found.not_overrefuse}")
    print(f"  F1               {found.f1}")
    for kind, share in found.style.items():
        print(f"  ideal, {kind:24} {share}")
