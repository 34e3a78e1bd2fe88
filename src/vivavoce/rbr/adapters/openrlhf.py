"""Rewards for OpenRLHF: a local `reward_func` file, and the remote reward server that `--remote_rm_url` names.

OpenRLHF hands over whole texts (`queries` = prompt + response, `prompts`, `labels`); the label of a prompt is its response type.
It knows no missing reward: an ungraded sample gets the mean of its batch's graded ones, so that it pushes neither way, and
is counted in `extra_logs`; a batch with none graded raises, or gets `fallback`. Version 0.11.2 asks for one sample a call and
catches what is raised, after which it fails for want of a reward: give it a fallback.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vivavoce.errors import DataError, EndpointError
from vivavoce.rbr.adapters.trl import read_item
from vivavoce.rbr.graders.interface import run_now
from vivavoce.rbr.reward import RewardRequest, RuleReward, Scored


def make_reward_func(reward: RuleReward, *, fallback: float | None = None) -> Callable[..., dict[str, Any]]:
    """OpenRLHF's `reward_func(queries, prompts, labels)`: {"rewards", "scores", "extra_logs"}, tensors [B].

    Not lists, because OpenRLHF wraps what it gets in a tensor, and of a list that has one dimension too many.
    """
    import torch

    def reward_func(
        queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str | None], **_: Any
    ) -> dict[str, Any]:
        found = score_batch(reward, queries, prompts, labels, fallback=fallback)
        logs = {name: torch.tensor(values) for name, values in found["extra_logs"].items()}
        totals = torch.tensor(found["rewards"])
        return {"rewards": totals, "scores": totals, "extra_logs": logs}

    return reward_func


def score_batch(
    reward: RuleReward, queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str | None],
    *, fallback: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Rewards of a batch, as lists.

    fallback: of every sample where none is graded; None raises EndpointError.
    Raises: DataError if a query does not start with its prompt.
    """
    requests = []
    for idx, (query, prompt, label) in enumerate(zip(queries, prompts, labels, strict=True)):
        if not query.startswith(prompt):
            raise DataError(f"query {idx} does not start with its prompt; OpenRLHF sends prompt + response")
        requests.append(RewardRequest(item=read_item(prompt, query[len(prompt) :]), response_type=label or None))
    found = run_now(reward.score(requests))
    graded = [row.total for row in found if isinstance(row, Scored)]
    if not graded and fallback is None:
        reasons = ", ".join(sorted({row.reason for row in found if not isinstance(row, Scored)}))
        raise EndpointError(f"none of {len(found)} samples could be graded ({reasons})")
    middle = sum(graded) / len(graded) if graded else fallback
    totals = [row.total if isinstance(row, Scored) else middle for row in found]
    logs = {"coverage": [float(isinstance(row, Scored)) for row in found]}
    for part in ("rm", "rbr"):
        logs[part] = [getattr(row, part) if isinstance(row, Scored) else 0.0 for row in found]
    return {"rewards": totals, "scores": totals, "extra_logs": logs}


def make_app(reward: RuleReward, *, max_samples: int = 1024, fallback: float | None = None) -> Any:
    """A Starlette application with `POST /get_reward` as OpenRLHF's remote reward model; run it with uvicorn on 127.0.0.1.

    Body: {"query": [...], "prompts": [...], "labels": [...]}; a bad one gets 400 with a line of text.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def get_reward(request: Request) -> JSONResponse:
        body = await request.json()
        queries = body.get("query")
        if not isinstance(queries, list) or len(queries) > max_samples:
            return JSONResponse({"error": f"query must be a list of at most {max_samples} texts"}, status_code=400)
        prompts, labels = body.get("prompts") or [""] * len(queries), body.get("labels") or [None] * len(queries)
        try:
            found = await run_in_threadpool(score_batch, reward, queries, prompts, labels, fallback=fallback)
            return JSONResponse(found)
        except (DataError, ValueError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        except EndpointError as error:
            return JSONResponse({"error": str(error)}, status_code=503)

    return Starlette(routes=[Route("/get_reward", get_reward, methods=["POST"])])
