"""A rubric for verifiers: one reward function with weight 1, and one of weight 0 for each thing worth watching.

verifiers calls reward functions with the rollout's `prompt`, `completion`, `info`; `info["response_type"]` names how the
prompt is to be responded to. Its rubric turns an exception into 0, so an ungraded completion must not raise: it gets NaN,
which `drop_ungraded` removes from a batch before training.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from vivavoce.errors import MissingExtraError
from vivavoce.rbr.adapters.trl import read_item
from vivavoce.rbr.reward import RewardRequest, RuleReward, Scored

RewardFunction = Callable[..., Awaitable[float]]


def make_functions(reward: RuleReward) -> tuple[list[RewardFunction], list[float]]:
    """(functions, weights) for `verifiers.Rubric(funcs=functions, weights=weights)`: total, then is_graded with weight 0."""

    async def rule_based_reward(prompt: Any, completion: Any, info: Mapping[str, Any] | None = None, **_: Any) -> float:
        (found,) = await reward.score([_request(prompt, completion, info)])
        return found.total if isinstance(found, Scored) else math.nan

    async def is_graded(prompt: Any, completion: Any, info: Mapping[str, Any] | None = None, **_: Any) -> float:
        (found,) = await reward.score([_request(prompt, completion, info)])
        return float(isinstance(found, Scored))

    return [rule_based_reward, is_graded], [1.0, 0.0]


def _request(prompt: Any, completion: Any, info: Mapping[str, Any] | None) -> RewardRequest:
    kind = (info or {}).get("response_type")
    return RewardRequest(item=read_item(prompt, completion), response_type=kind or None)


def make_rubric(reward: RuleReward) -> Any:
    """The rubric itself; needs the package `verifiers` with rubrics (0.1; 0.4 has none any more).

    Raises: MissingExtraError.
    """
    try:
        import verifiers  # pyright: ignore[reportMissingImports]  # not among our extras: bring your own trainer
    except ImportError as error:
        raise MissingExtraError("a rubric needs the package verifiers; pip install 'verifiers<0.2'") from error
    if not hasattr(verifiers, "Rubric"):
        raise MissingExtraError(
            f"verifiers {verifiers.__version__} has no Rubric; pip install 'verifiers<0.2', or await `make_functions` "
            "in a method marked @vf.reward of your task"
        )
    functions, weights = make_functions(reward)
    return verifiers.Rubric(funcs=functions, weights=weights)


def drop_ungraded(rewards: Sequence[float]) -> list[int]:
    """Indices of the rollouts that have a reward."""
    return [idx for idx, value in enumerate(rewards) if not math.isnan(value)]
