"""Reinforcement learning with the rule-based reward: TRL's GRPO or RLOO, LoRA or full, on the practice prompts.

Ours are the reward and the data; the optimiser is TRL's. `rewards.jsonl` in the run directory has every proposition of
every batch; the manifest names the grader, so that `viva rbr eval` can refuse to judge with the same one.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vivavoce.errors import ConfigError
from vivavoce.rbr.adapters.trl import TrlReward
from vivavoce.rbr.prompts import Prompt
from vivavoce.rbr.reward import RuleReward
from vivavoce.rbr.reward_log import RewardLog
from vivavoce.run import Run
from vivavoce.text_models import TextModel

Algorithm = Literal["grpo", "rloo"]
Frozen = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One reinforcement-learning run."""

    model: str = "smollm2-135m-instruct"
    """Folder, short name or Hub name of the starting policy."""
    algorithm: Algorithm = "grpo"
    num_steps: int = 100
    """Optimiser steps."""
    num_generations: int = 8
    """Completions per prompt."""
    batch_prompts: int = 4
    """Prompts per step."""
    max_tokens: int = 48
    """Longest completion."""
    learning_rate: float = 1e-5
    beta: float = 0.02
    """Weight of the KL divergence from the starting policy."""
    temperature: float = 1.0
    lora_rank: int = 16
    """0 trains all weights."""
    frozen: Frozen = "float32"
    """Number format of the weights that LoRA leaves alone; bfloat16 halves memory, and time where the processor has it."""
    vllm_url: str | None = None
    """Roll out through `trl vllm-serve` at this address."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_generations < 2:
            raise ConfigError(
                f"num_generations is {self.num_generations}; need 2 or more, since completions are compared"
            )
        for name in ("num_steps", "batch_prompts", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; need 1 or more")
        for name in ("learning_rate", "temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; need a finite number above 0")
        if self.lora_rank < 0 or not 0 <= self.beta < math.inf:
            raise ConfigError(f"lora_rank is {self.lora_rank} and beta {self.beta}; need 0 or more")
        if self.frozen != "float32" and not self.lora_rank:
            raise ConfigError(f"frozen is {self.frozen} and lora_rank 0: no weight is frozen; need a lora_rank above 0")


def train(text_model: TextModel, prompts: list[Prompt], reward: RuleReward, config: TrainConfig, run: Run) -> Path:
    """Train; returns the folder of the trained model (merged, with its tokenizer).

    Under `accelerate launch` every process trains on prompts of its own; the first one writes, and rewards.jsonl has its share.
    Raises: ConfigError if there are no prompts.
    """
    import torch
    from accelerate import PartialState
    from datasets import Dataset

    if not prompts:
        raise ConfigError("no prompts to train on")
    state = PartialState()
    log = RewardLog(run.path / "rewards.jsonl" if state.is_main_process else None)
    if not config.lora_rank:
        # TRL loads the reference of the KL term by name: let it find what training starts from, fine-tuning included
        start = run.path / "start"
        if state.is_main_process:
            text_model.model.save_pretrained(start)
            text_model.tokenizer.save_pretrained(start)
        state.wait_for_everyone()
        text_model.model.config._name_or_path = str(start)
    text_model.model.to(getattr(torch, config.frozen))  # pyright: ignore[reportArgumentType]  # annotated for a mixin
    has_template = bool(text_model.tokenizer.chat_template)
    rows = [
        {
            "prompt": [{"role": m.role, "content": m.text} for m in prompt.messages]
            if has_template
            else prompt.messages[-1].text,
            "response_type": prompt.response_type,
        }
        for prompt in prompts
    ]
    trainer = _make_trainer(text_model, Dataset.from_list(rows), TrlReward(reward, log), config, run)
    trainer.train()
    folder = run.path / "model"
    if not state.is_main_process:
        return folder  # the first process writes; all hold the same weights
    for record in trainer.state.log_history:
        run.log(**{key: value for key, value in record.items() if isinstance(value, int | float) and value == value})
    model = trainer.model
    if config.lora_rank:
        model = model.to(torch.float32).merge_and_unload()  # a merge in bfloat16 would round the adapters away
    model.save_pretrained(folder)
    text_model.tokenizer.save_pretrained(folder)
    last = log.records[-1] if log.records else {}
    run.finish(
        num_prompts=len(prompts), grader=reward.grader.identity, policy_digest=reward.maker.rules.digest,
        num_batches=len(log.records), hacking_warnings=log.warnings, last_rewards=last,
    )  # fmt: skip
    return folder


def keep_text_out(record: logging.LogRecord) -> bool:
    """A filter of TRL's log, which writes out any completion that no reward function could grade."""
    if "returned None for the following" in record.getMessage():
        record.msg, record.args = "a completion was left ungraded by every reward function", ()
    return True


def _make_trainer(text_model: TextModel, rows: Any, reward: TrlReward, config: TrainConfig, run: Run) -> Any:
    import torch
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

    for name in ("grpo_trainer", "rloo_trainer"):
        logging.getLogger(f"trl.trainer.{name}").addFilter(keep_text_out)
    vllm = {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": config.vllm_url} if config.vllm_url else {}
    settings: dict[str, Any] = {
        "output_dir": str(run.path / "trainer"),
        "max_steps": config.num_steps,
        "per_device_train_batch_size": config.batch_prompts * config.num_generations,
        "num_generations": config.num_generations,
        "max_completion_length": config.max_tokens,
        "learning_rate": config.learning_rate,
        "beta": config.beta,
        "temperature": config.temperature,
        "seed": config.seed,
        "report_to": [],
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "bf16": False,
        "gradient_checkpointing": False,
        **vllm,
    }
    arguments = GRPOConfig(**settings) if config.algorithm == "grpo" else RLOOConfig(**settings)
    peft = None
    if config.lora_rank:
        from peft import LoraConfig

        peft = LoraConfig(
            r=config.lora_rank, lora_alpha=2 * config.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
        )
    kind: Any = GRPOTrainer if config.algorithm == "grpo" else RLOOTrainer
    return kind(
        model=text_model.model,
        args=arguments,
        reward_funcs=reward,
        train_dataset=rows,
        processing_class=text_model.tokenizer,
        peft_config=peft,
    )


def fine_tune(
    text_model: TextModel, rows: list[dict[str, Any]], *, num_epochs: int, learning_rate: float, seed: int
) -> None:
    """Supervised fine-tuning on whole conversations, in place: loss on the last (assistant) turn only.

    rows: `{"messages": [...]}` lines of sft.jsonl. Plain AdamW, one conversation a step: the sets are small.
    """
    import torch

    from vivavoce.content import Message, Text
    from vivavoce.text_models import render_chat

    model, tokenizer = text_model
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, fused=True)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(num_epochs):
        for idx in torch.randperm(len(rows), generator=generator).tolist():
            turns = [Message(turn["role"], (Text(turn["content"]),)) for turn in rows[idx]["messages"]]
            head = tokenizer.encode(render_chat(tokenizer, turns[:-1]), add_special_tokens=False)
            tail = [*tokenizer.encode(turns[-1].text, add_special_tokens=False), tokenizer.eos_token_id]
            ids = torch.tensor([[*head, *tail]])
            labels = ids.clone()
            labels[0, : len(head)] = -100
            loss = model(input_ids=ids, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    model.eval()
