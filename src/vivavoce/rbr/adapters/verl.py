"""A custom reward function for verl.

    custom_reward_function:
      path: my_reward.py          # two lines: reward = ...; compute_score = make_compute_score(reward)
      name: compute_score

verl calls it per sample with (data_source, solution_str, ground_truth, extra_info); `extra_info` carries `prompt` (messages)
and `response_type`. verl knows no missing reward, so an ungraded sample raises unless `fallback` gives it a number on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from vivavoce.errors import DataError, EndpointError
from vivavoce.rbr.adapters.trl import read_item
from vivavoce.rbr.reward import RewardRequest, RuleReward, Scored


def make_compute_score(
    reward: RuleReward, *, fallback: float | None = None
) -> Callable[..., Awaitable[dict[str, Any]]]:
    """verl's asynchronous `compute_score`: {"score", "rm", "rbr", "is_graded", one entry per feature}.

    verl makes columns of the first sample's keys, so every sample has every feature of every response type; NaN where it
    has none.
    fallback: score of an ungraded sample; None raises EndpointError, which ends the step rather than training on a made-up 0.
    """

    kinds = reward.maker.rules.response_types.values()
    names = sorted({name for kind in kinds for name in kind.features})

    async def compute_score(
        data_source: str, solution_str: str, ground_truth: Any, extra_info: Mapping[str, Any] | None = None, **_: Any
    ) -> dict[str, Any]:
        info = extra_info or {}
        if "prompt" not in info or "response_type" not in info:
            raise DataError(
                f"extra_info of {data_source} lacks prompt or response_type; write them into the Parquet file"
            )
        request = RewardRequest(
            item=read_item(info["prompt"], solution_str), response_type=info["response_type"] or None
        )
        (found,) = await reward.score([request])
        if isinstance(found, Scored):
            features = {f"feature/{name}": found.features.get(name, math.nan) for name in names}
            return {"score": found.total, "rm": found.rm, "rbr": found.rbr, "is_graded": 1.0, **features}
        if fallback is None:
            raise EndpointError(f"a sample of {data_source} could not be graded: {found.reason} {found.detail}")
        missing = dict.fromkeys([f"feature/{name}" for name in names], math.nan)
        return {"score": fallback, "rm": math.nan, "rbr": math.nan, "is_graded": 0.0, **missing}

    return compute_score
