"""Reward functions for TRL's GRPO and RLOO: synchronous and asynchronous.

The data set needs a column `response_type` (null where the rules don't apply). An ungraded completion gives None, which
TRL keeps out of the group's baseline. Hand the trainer this one function: `multi_objective_aggregation` must stay
`sum_then_normalize`, since rescaling parts would undo the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vivavoce.content import Message, Text
from vivavoce.errors import DataError
from vivavoce.rbr.graders.interface import Item, run_now
from vivavoce.rbr.reward import RewardRequest, RuleReward, Scored
from vivavoce.rbr.reward_log import RewardLog


class TrlReward:
    """A TRL reward function: `trainer = GRPOTrainer(..., reward_funcs=TrlReward(reward, log))`."""

    __name__ = "rule_based_reward"  # TRL's name for its logs

    def __init__(self, reward: RuleReward, log: RewardLog | None = None) -> None:
        self.reward = reward
        self.log = log or RewardLog()

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """Totals, None where ungraded. Raises: DataError if the column `response_type` is missing."""
        return run_now(self.score(prompts, completions, **columns))

    async def score(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """The same for TRL's asynchronous reward functions."""
        if "response_type" not in columns:
            raise DataError("the data set has no column response_type; add it (null where the rules do not apply)")
        requests = [
            RewardRequest(item=read_item(prompt, completion), response_type=kind or None)
            for prompt, completion, kind in zip(prompts, completions, columns["response_type"], strict=True)
        ]
        rewards, shadows = await self.reward.score_with_shadow(requests)
        record = self.log.add(rewards, shadows)
        log_metric = columns.get("log_metric")
        if callable(log_metric):
            for name, value in record.items():
                log_metric(name, value)
        return [reward.total if isinstance(reward, Scored) else None for reward in rewards]


def make_async_reward(reward: RuleReward, log: RewardLog | None = None) -> Any:
    """An asynchronous TRL reward function (TRL awaits coroutine functions together)."""
    inner = TrlReward(reward, log)

    async def rule_based_reward(
        prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        return await inner.score(prompts, completions, **columns)

    return rule_based_reward


def read_item(prompt: Any, completion: Any) -> Item:
    """An item from TRL's conversational or plain format."""
    if isinstance(prompt, str):
        messages: tuple[Message, ...] = (Message("user", (Text(prompt),)),)
    else:
        messages = tuple(Message(turn["role"], (Text(turn["content"]),)) for turn in prompt)
    text = completion if isinstance(completion, str) else "".join(turn["content"] for turn in completion)
    return Item(prompt=messages, completion=text)
