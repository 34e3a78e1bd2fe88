"""Training one model on all joint tasks: TRL's SFT trainer, loss on completions alone, tasks mixed by declared weight.

Ours are the examples, the truncation that only eats the passage, the calibration of the yes/no heads and the
validation loss; the optimisation is TRL's.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from vivavoce.critique.calibration import fit_calibration, measure_calibration_error
from vivavoce.critique.language import LanguageModel, TokenLoss
from vivavoce.critique.sizes import check_name, count_parameters, make_model
from vivavoce.critique.tasks.examples import DEFAULT_WEIGHTS, Example, Mixture, mix_examples
from vivavoce.critique.tasks.forms import load_templates
from vivavoce.errors import ConfigError, DataError
from vivavoce.run import Run
from vivavoce.stats import Estimate, estimate_ratio
from vivavoce.text_models import TextModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """What is trained, on how much, how."""

    base: str = "s"
    """A size to train from scratch (3xs, 2xs, xs, s, m, l), or any causal model: a name, a folder, a Hub name."""
    weights: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    """Share of each joint task."""
    num_examples: int = 20_000
    """Examples seen in training, repeats included."""
    batch_examples: int = 32
    """Examples a step."""
    learning_rate: float = 1e-3
    """Peak learning rate; cosine decay after a warm-up of 5% of the steps."""
    lora_rank: int = 0
    """Rank of LoRA adapters on all linear layers, merged when saved; 0 trains all weights."""
    seed: int = 0
    """Seed of weights, mixture and order."""
    save_every_steps: int = 200
    """Steps between checkpoints to resume from."""
    max_tokens: int = 0
    """Longest example in tokens; 0 is the model's context."""

    def __post_init__(self) -> None:
        Mixture(weights=self.weights)
        check_name(self.base)
        for name in ("num_examples", "batch_examples", "save_every_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; need 1 or more")
        for name in ("lora_rank", "max_tokens"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; need 0 (off) or more")
        if not 0 < self.learning_rate < 1:
            raise ConfigError(f"learning_rate is {self.learning_rate}; need above 0 and below 1")

    @property
    def num_steps(self) -> int:
        """Optimiser steps."""
        return math.ceil(self.num_examples / self.batch_examples)


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What training gave. Losses are nats per character of target, on held-out passages."""

    num_parameters: int
    num_steps: int
    num_left_out: int
    loss: Estimate
    loss_by_task: dict[str, Estimate]
    calibration_error: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """As JSON, intervals included."""
        return {
            "num_parameters": self.num_parameters, "num_steps": self.num_steps, "num_left_out": self.num_left_out,
            "loss_nats_per_char": self.loss.to_json(),
            "loss_by_task": {task: loss.to_json() for task, loss in self.loss_by_task.items()},
            "calibration_error": self.calibration_error,
        }  # fmt: skip


def train(
    config: TrainingConfig,
    examples: Sequence[Example],
    validation: Sequence[Example],
    path: Path,
    *,
    resume: bool = False,
    stop_after_steps: int | None = None,
) -> tuple[LanguageModel, TrainingReport]:
    """Train, calibrate, measure and save to `path/model`; `validation` is of other passages than `examples`.

    stop_after_steps: end early, as if killed (tests).
    Raises: ConfigError if the run cannot start or resume, DataError if a passage is in both sets.
    """
    shared = {example.passage_key for example in examples} & {example.passage_key for example in validation}
    if shared:
        raise DataError(
            f"{len(shared)} passages are in training and validation, {min(shared)!r} first; split by passage"
        )
    run = Run.open(path, asdict(config), resume=resume)
    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()  # a bar for each checkpoint
    text_model = make_model(config.base, seed=config.seed)
    language = LanguageModel(text_model)
    if config.max_tokens:
        language.context_tokens = min(language.context_tokens, config.max_tokens)
    mixed = mix_examples(examples, Mixture(weights=config.weights), config.num_examples, config.seed)
    rows, num_left_out = _tokenise(language, mixed)
    rows = _order_by_length(rows, config)
    trainer = _make_trainer(config, text_model, rows, run, stop_after_steps)
    has_checkpoint = any((run.path / "checkpoints").glob("checkpoint-*"))
    with _one_seed(config.seed):
        trainer.train(resume_from_checkpoint=True if resume and has_checkpoint else None)
    model = trainer.model
    if config.lora_rank:
        model = model.merge_and_unload()  # type: ignore[operator]
    language.model = model.eval()  # type: ignore[union-attr]
    report = _finish(language, validation, int(trainer.state.global_step), num_left_out)
    language.save(run.path / "model")
    run.finish(**report.to_json())
    return language, report


class _one_seed:
    """A fixed seed inside; the caller's random state outside."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        self.fork = torch.random.fork_rng(devices=[])
        self.fork.__enter__()
        torch.manual_seed(self.seed)

    def __exit__(self, *error: Any) -> None:
        self.fork.__exit__(*error)


def _tokenise(language: LanguageModel, examples: Sequence[Example]) -> tuple[list[dict[str, list[int]]], int]:
    """Rows with the prompt masked out of the loss; an example that cannot fit is left out and counted."""
    rows, num_left_out = list[dict[str, list[int]]](), 0
    cache: dict[tuple[str, str], dict[str, list[int]] | None] = {}
    for example in examples:
        key = (example.rendered.prompt, example.rendered.completion or "")
        if key not in cache:
            try:
                fitted = language.fit(example.rendered)
                labels = [-100] * len(fitted.prompt_ids) + fitted.completion_ids
                cache[key] = {"input_ids": fitted.prompt_ids + fitted.completion_ids, "labels": labels}
            except DataError as error:
                logger.warning("example of %s left out: %s", example.task, error)
                cache[key] = None
        row = cache[key]
        if row is None:
            num_left_out += 1
        else:
            rows.append(row)
    if not rows:
        raise DataError(f"none of {len(examples)} examples fits the context; use a model with a longer one")
    return rows, num_left_out


def _order_by_length(rows: list[dict[str, list[int]]], config: TrainingConfig) -> list[dict[str, list[int]]]:
    """Batches of like length, in random order: less padding, same expectation."""
    rng, size = Random(config.seed), config.batch_examples
    batches = list[list[dict[str, list[int]]]]()
    for begin in range(0, len(rows), 50 * size):
        block = sorted(rows[begin : begin + 50 * size], key=lambda row: len(row["input_ids"]))
        pieces = [block[idx : idx + size] for idx in range(0, len(block), size)]
        rng.shuffle(pieces)
        batches += pieces
    # a short batch in the middle would shift all batches after it
    batches.sort(key=lambda batch: len(batch) < size)
    return [row for batch in batches for row in batch]


def _make_trainer(
    config: TrainingConfig, text_model: TextModel, rows: list[dict[str, list[int]]], run: Run, stop_after: int | None
) -> Any:
    from datasets import Dataset
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
    from trl import SFTConfig, SFTTrainer

    class Report(TrainerCallback):
        """Losses into the run's metrics; an early stop for tests."""

        def on_log(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **_: Any
        ) -> None:
            if logs and "loss" in logs:
                run.log(step=state.global_step, **{"train/loss_nats_per_token": float(logs["loss"])})

        def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
            if stop_after is not None and state.global_step >= stop_after:
                control.should_training_stop = True

    num_steps = math.ceil(len(rows) / config.batch_examples)
    arguments = SFTConfig(
        output_dir=str(run.path / "checkpoints"), per_device_train_batch_size=config.batch_examples, num_train_epochs=1,
        learning_rate=config.learning_rate, lr_scheduler_type="cosine", warmup_steps=max(1, num_steps // 20),
        weight_decay=0.01, save_strategy="steps", save_steps=config.save_every_steps, save_total_limit=1,
        logging_steps=max(1, num_steps // 50), report_to="none", seed=config.seed, data_seed=config.seed,
        use_cpu=not torch.cuda.is_available(), bf16=torch.cuda.is_available(), activation_checkpointing=False,
        max_length=None, packing=False, train_sampling_strategy="sequential", disable_tqdm=True, log_level="error",
        dataset_kwargs={"skip_prepare_dataset": True}, remove_unused_columns=False,
    )  # fmt: skip
    peft_config = None
    if config.lora_rank:
        from peft import LoraConfig

        peft_config = LoraConfig(
            r=config.lora_rank, lora_alpha=2 * config.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
        )
    text_model.model.train()
    trainer = SFTTrainer(
        model=text_model.model, args=arguments, train_dataset=Dataset.from_list(rows), peft_config=peft_config,
        processing_class=text_model.tokenizer, callbacks=[Report()],
    )  # fmt: skip
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


def _finish(
    language: LanguageModel, validation: Sequence[Example], num_steps: int, num_left_out: int
) -> TrainingReport:
    loss, by_task = measure_loss(language, validation)
    errors = calibrate(language, validation)
    return TrainingReport(count_parameters(language.model), num_steps, num_left_out, loss, by_task, errors)


def measure_loss(language: LanguageModel, examples: Sequence[Example]) -> tuple[Estimate, dict[str, Estimate]]:
    """Nats per character of target, over all and by task, clustered by passage."""
    losses = language.measure_losses([example.rendered for example in examples])
    kept = [(example, loss) for example, loss in zip(examples, losses) if isinstance(loss, TokenLoss)]

    def estimate(task: str | None) -> Estimate:
        mine = [(example, loss) for example, loss in kept if task in (None, example.task)]
        clusters = [example.passage_key for example, _ in mine]
        return estimate_ratio([loss.nats for _, loss in mine], [loss.num_chars for _, loss in mine], clusters)

    return estimate(None), {task: estimate(task) for task in sorted({example.task for example, _ in kept})}


def calibrate(language: LanguageModel, examples: Sequence[Example]) -> dict[str, dict[str, float]]:
    """Fit each yes/no head's calibration on every other passage; return its error before and after on the rest.

    A head whose examples all have one label is left as it is, and is absent from the result.
    """
    errors: dict[str, dict[str, float]] = {}
    for task, template in load_templates()[1].items():
        mine = [example for example in examples if example.task == task]
        if template.labels is None or not mine:
            continue
        yes = template.labels[0]
        labels = [example.rendered.completion == yes for example in mine]
        odds = [odds for odds, _ in language.measure_labels(task, [_without_target(example) for example in mine])]
        keys = sorted({example.passage_key for example in mine})
        fit_keys = set(keys[::2])
        parts = [
            [idx for idx, example in enumerate(mine) if (example.passage_key in fit_keys) is side]
            for side in (True, False)
        ]
        try:
            fitted = fit_calibration([odds[idx] for idx in parts[0]], [labels[idx] for idx in parts[0]])
        except DataError:
            logger.warning("head %s is left uncalibrated: its validation examples have one label", task)
            continue
        rest = parts[1]
        truth = [labels[idx] for idx in rest]
        before = [1 / (1 + math.exp(-max(-60.0, min(60.0, odds[idx])))) for idx in rest]
        after = [fitted.apply(odds[idx]) for idx in rest]
        language.calibrations[task] = fitted
        errors[task] = {
            "n": float(len(rest)), "before": measure_calibration_error(before, truth),
            "after": measure_calibration_error(after, truth),
        }  # fmt: skip
    return errors


def _without_target(example: Example) -> Any:
    return example.rendered._replace(completion=None)
