"""What the reward does before any RL: error rates of reward model, both, and rules alone; and rewards centred on the ideal.

Conventions: an error is another completion above an ideal one of the same prompt, per (ideal, other) pair, ties counting
half; a reward is centred on the mean of its prompt's ideal completions. Intervals are clustered by prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vivavoce.errors import ConfigError, DataError
from vivavoce.rbr.comparisons import Comparison, Completion, Order
from vivavoce.stats import Estimate, estimate_mean, estimate_proportion

Part = Literal["rm", "rm+rbr", "rbr"]
PARTS: tuple[Part, ...] = ("rm", "rm+rbr", "rbr")
_TIE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Centred:
    """One completion's reward minus the mean of its prompt's ideal ones."""

    response_type: str
    label: str
    part: Part
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """error_rates: {response type: {part: estimate}}; centred: every completion under every part."""

    error_rates: Mapping[str, Mapping[str, Estimate]]
    centred: tuple[Centred, ...]
    num_ungraded: int

    def to_json(self) -> dict[str, Any]:
        """Error rates and, per label, the quantiles of the centred rewards."""
        groups: dict[tuple[str, str, str], list[float]] = {}
        for row in self.centred:
            groups.setdefault((row.response_type, row.part, row.label), []).append(row.value)
        return {
            "error_rates": {
                kind: {part: rate.to_json() for part, rate in rates.items()} for kind, rates in self.error_rates.items()
            },
            "centred": [
                {"response_type": kind, "part": part, "label": label, "n": len(values),
                 "quantiles": [float(q) for q in np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])]}
                for (kind, part, label), values in sorted(groups.items())
            ],
            "num_ungraded": self.num_ungraded,
        }  # fmt: skip


def audit_reward(
    comparisons: Sequence[Comparison],
    orders: Mapping[str, Order],
    weights: Mapping[str, Mapping[str, float]],
    *,
    rbr_alone: Mapping[str, Mapping[str, float]] | None = None,
) -> Audit:
    """Error rates and centred rewards on held-out comparisons.

    weights: {response type: {feature: weight}} as fitted on top of the reward model. rbr_alone: weights fitted without it,
    for the part `rbr`; else the same weights serve.
    Raises: ConfigError if a response type has no weights or they name other features than the comparisons.
    """
    rates: dict[str, dict[str, Estimate]] = {}
    centred: list[Centred] = []
    num_ungraded = 0
    for kind in sorted({item.response_type for item in comparisons}):
        if kind not in weights or kind not in orders:
            raise ConfigError(f"no weights or no order for response type {kind}; fit it first")
        own = [item for item in comparisons if item.response_type == kind]
        lead: dict[Part, list[float]] = {part: [] for part in PARTS}
        owners: list[str] = []
        for item in own:
            graded = [c for c in item.completions if _is_graded(c)]
            num_ungraded += len(item.completions) - len(graded)
            rewards: dict[Part, list[float]] = {
                part: [_reward(c, part, weights[kind], (rbr_alone or weights)[kind]) for c in graded] for part in PARTS
            }
            _collect(item, graded, rewards, orders[kind], lead, owners, centred)
        if not owners:
            raise DataError(f"no prompt of response type {kind} has an ideal and another completion")
        has_rm = any(c.rm_score is not None for item in own for c in item.completions)
        rates[kind] = {part: _rate(lead[part], owners) for part in PARTS if has_rm or part == "rbr"}
    return Audit(error_rates=rates, centred=tuple(centred), num_ungraded=num_ungraded)


def _is_graded(completion: Completion) -> bool:
    return all(value is not None for value in completion.features.values())


def _reward(completion: Completion, part: Part, both: Mapping[str, float], alone: Mapping[str, float]) -> float:
    weights = alone if part == "rbr" else both
    missing = set(weights) - set(completion.features)
    if missing:
        raise ConfigError(f"weights name features that the comparisons lack: {', '.join(sorted(missing))}")
    rules = sum(weight * (completion.features[name] or 0.0) for name, weight in weights.items())
    score = completion.rm_score or 0.0
    return {"rm": score, "rm+rbr": score + rules, "rbr": rules}[part]


def _collect(
    item: Comparison,
    graded: Sequence[Completion],
    rewards: Mapping[Part, Sequence[float]],
    order: Order,
    lead: Mapping[Part, list[float]],
    owners: list[str],
    centred: list[Centred],
) -> None:
    level = {label: depth for depth, labels in enumerate(order) for label in labels}
    ideals = [idx for idx, c in enumerate(graded) if level.get(c.label) == 0]
    if not ideals:
        return
    others = [idx for idx, c in enumerate(graded) if level.get(c.label, 0) > 0]
    for part in PARTS:
        middle = float(np.mean([rewards[part][idx] for idx in ideals]))
        for idx in (*ideals, *others):
            value = rewards[part][idx] - middle
            centred.append(Centred(response_type=item.response_type, label=graded[idx].label, part=part, value=value))
        lead[part].extend(rewards[part][a] - rewards[part][b] for a in ideals for b in others)
    owners.extend(item.prompt_id for _ in ideals for _ in others)


def _rate(lead: Sequence[float], owners: Sequence[str]) -> Estimate:
    gaps = np.asarray(lead)
    wrong = np.where(gaps < -_TIE, 1.0, np.where(gaps <= _TIE, 0.5, 0.0))
    estimate = estimate_mean(wrong, list(owners))
    if estimate.value in (0.0, 1.0):
        return estimate_proportion(round(estimate.value * estimate.n), estimate.n)
    if estimate.low is None or estimate.high is None:
        return estimate
    return Estimate(estimate.value, estimate.n, max(0.0, estimate.low), min(1.0, estimate.high), estimate.method)
