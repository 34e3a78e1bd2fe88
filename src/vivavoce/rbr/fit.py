"""Fits the weights of the rule-based reward on ranked completions, with a given reward model inside the loss.

`exact` reaches the optimum and certifies it by its dual gap; `released` follows the published fitter's optimiser
(full-batch AdamW from zero) for comparison. One set of weights per response type. Randomness: only the folds of the
cross-validation, from `seed`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vivavoce.errors import ConfigError, DataError
from vivavoce.rbr.comparisons import Comparison, Order, Pairs, build_pairs
from vivavoce.rbr.solve import Solution, measure_loss, solve_linear, solve_ridge
from vivavoce.stats import Estimate, estimate_mean, estimate_proportion

Solver = Literal["exact", "released"]
Weighting = Literal["pair", "prompt"]
_TIE = 1e-9  # chosen: totals closer than this count as tied


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """How to fit."""

    order: Order
    margin: float = 1.0
    """What the better completion must lead by, in the reward model's units."""
    label_margins: Mapping[str, float] = field(default_factory=dict)
    """Factors on the margin by the better completion's label."""
    ridge: float = 0.0
    """Weight of |w|^2 / 2 in the loss; 0 makes the fit a linear programme."""
    weighting: Weighting = "pair"
    """`pair`: every pair counts the same, as published; `prompt`: every prompt does."""
    constraints: tuple[str, ...] = ()
    """Such as `judgement<=0` or `class:ideal>=class:minimum_acceptable_style`."""
    ignore: frozenset[str] = frozenset()
    """Features to leave out."""
    solver: Solver = "exact"
    num_steps: int = 1000
    """Steps of the `released` solver."""
    learning_rate: float = 1e-2
    """Learning rate of the `released` solver."""
    weight_decay: float = 0.0
    """Decoupled weight decay of the `released` solver; not the same as `ridge`."""
    num_folds: int = 5
    """Folds of the cross-validation, over prompts; 0 for none."""
    seed: int = 0
    """Seed of the folds."""
    skip_ungraded: bool = False
    skip_unpaired: bool = False

    def __post_init__(self) -> None:
        for name in ("ridge", "margin", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; need a finite number, 0 or more")
        for label, factor in self.label_margins.items():
            if not 0 < factor < math.inf:
                raise ConfigError(f"label margin of {label!r} is {factor}; need a finite number above 0")
        if self.num_folds in (1,) or self.num_folds < 0:
            raise ConfigError(f"num_folds is {self.num_folds}; need 0 (none) or at least 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRates:
    """Share of (ideal, other) pairs of one prompt that are ranked wrongly, ties counting half; clustered by prompt."""

    before: Estimate
    """The reward model alone; undefined without one."""
    after: Estimate
    """Reward model and fitted rules, on the data fitted to."""
    cross_validated: Estimate
    """The same on prompts that the fold's weights have not seen."""
    test: Estimate | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, and the same with n and interval under `estimates`."""
        named = {"before": self.before, "after": self.after, "cross_validated": self.cross_validated}
        if self.test is not None:
            named["test"] = self.test
        plain: dict[str, Any] = {name: estimate.value for name, estimate in named.items()}
        return plain | {"estimates": {name: estimate.to_json() for name, estimate in named.items()}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Weights of one response type."""

    response_type: str
    weights: Mapping[str, float]
    objective: float
    hinge: float
    dual_gap: float
    error_rate: ErrorRates
    num_prompts: int
    num_pairs: int
    num_left_out: int
    has_rm: bool
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """One entry of the weights file (docs/formats.md)."""
        return {
            "weights": dict(self.weights),
            "objective": self.objective,
            "hinge": self.hinge,
            "dual_gap": self.dual_gap,
            "error_rate": self.error_rate.to_json(),
            "num_prompts": self.num_prompts,
            "num_pairs": self.num_pairs,
            "num_left_out": self.num_left_out,
            "has_rm": self.has_rm,
            "warnings": list(self.warnings),
        }


def fit_weights(
    comparisons: Sequence[Comparison],
    config: FitConfig,
    *,
    test: Sequence[Comparison] = (),
    class_order: Sequence[str] = (),
) -> Fit:
    """Weights for the comparisons of one response type.

    test: held-out prompts whose error rate is reported too. class_order: class names, best first, for the warning about
    class weights that run against it.
    Raises: DataError as `build_pairs` does; ConfigError if a constraint names no feature.
    """
    kinds = sorted({item.response_type for item in comparisons})
    if len(kinds) != 1:
        raise DataError(f"comparisons hold response types {', '.join(kinds) or 'none'}; fit one at a time")
    pairs = _build(comparisons, config)
    rows = parse_constraints(config.constraints, pairs.features)
    solution = _solve(pairs, rows, config)
    weights = solution.weights_F
    rates = ErrorRates(
        before=_rate(pairs, pairs.rm_delta_M) if pairs.has_rm else Estimate(None, len(pairs.prompts), method="no rm"),
        after=_rate(pairs, pairs.rm_delta_M + pairs.delta_MF @ weights),
        cross_validated=cross_validate(pairs, rows, config),
        test=_rate_test(_build(test, config), pairs.features, weights) if test else None,
    )
    return Fit(
        response_type=kinds[0],
        weights={name: float(weight) for name, weight in zip(pairs.features, weights)},
        objective=solution.objective,
        hinge=measure_loss(weights, pairs.delta_MF, _bounds(pairs), weigh_pairs(pairs, config.weighting), 0.0),
        dual_gap=solution.dual_gap,
        error_rate=rates,
        num_prompts=len(pairs.prompts),
        num_pairs=len(pairs),
        num_left_out=pairs.num_left_out,
        has_rm=pairs.has_rm,
        warnings=tuple(_list_warnings(pairs, weights, comparisons, config, class_order)),
    )


def _build(comparisons: Sequence[Comparison], config: FitConfig) -> Pairs:
    return build_pairs(
        comparisons,
        config.order,
        margin=config.margin,
        label_margins=config.label_margins,
        skip_ungraded=config.skip_ungraded,
        skip_unpaired=config.skip_unpaired,
        ignore=config.ignore,
    )


def _bounds(pairs: Pairs) -> np.ndarray:
    return pairs.margin_M - pairs.rm_delta_M


def weigh_pairs(pairs: Pairs, weighting: Weighting) -> np.ndarray:
    """Cost of each pair [M]; they sum to 1."""
    if weighting == "pair":
        return np.full(len(pairs), 1.0 / len(pairs))
    counts = np.bincount(pairs.prompt_M, minlength=len(pairs.prompts))
    return 1.0 / counts[pairs.prompt_M] / np.count_nonzero(counts)


_CONSTRAINT = re.compile(r"^\s*(\S+?)\s*(<=|>=)\s*(\S+)\s*$")


def parse_constraints(texts: Sequence[str], features: Sequence[str]) -> np.ndarray:
    """Rows G [K, F] of G w >= 0 from `a>=0`, `a<=0`, `a>=b`, `a<=b`. Raises: ConfigError naming the text that is wrong."""
    rows = np.zeros((len(texts), len(features)))
    for row, text in zip(rows, texts):
        match = _CONSTRAINT.match(text)
        sides = (match[1], match[3]) if match else ()
        if not match or any(side != "0" and side not in features for side in sides) or set(sides) == {"0"}:
            raise ConfigError(
                f"constraint {text!r}; need `feature>=0`, `feature<=0` or `feature>=feature` of {', '.join(features)}"
            )
        sign = 1.0 if match[2] == ">=" else -1.0
        for side, factor in ((match[1], sign), (match[3], -sign)):
            if side != "0":
                row[features.index(side)] += factor
    return rows


def _solve(pairs: Pairs, rows: np.ndarray, config: FitConfig) -> Solution:
    cost, bound = weigh_pairs(pairs, config.weighting), _bounds(pairs)
    if config.ridge > 0:
        exact = solve_ridge(pairs.delta_MF, bound, cost, rows, config.ridge)
    else:
        exact = solve_linear(pairs.delta_MF, bound, cost, rows)
    if config.solver == "exact":
        return exact
    if len(rows):
        raise ConfigError("the `released` solver knows no constraints; use the exact one")
    from vivavoce.rbr.released_fitter import descend

    weights = descend(pairs.delta_MF, bound, cost, config.num_steps, config.learning_rate, config.weight_decay)
    objective = measure_loss(weights, pairs.delta_MF, bound, cost, config.ridge)
    # what descent leaves on the table: its loss above the certified dual bound
    gap = objective - (exact.objective - exact.dual_gap)
    return Solution(weights, objective, gap, exact.residual, config.num_steps)


def _rate(pairs: Pairs, lead_M: np.ndarray) -> Estimate:
    """Error rate over (ideal, other) pairs, given by how much the ideal leads [M]; n is the number of prompts."""
    ideal = pairs.is_ideal_M
    if not ideal.any():
        return Estimate(None, 0, method="no ideal")
    wrong = np.where(lead_M < -_TIE, 1.0, np.where(lead_M <= _TIE, 0.5, 0.0))
    estimate = estimate_mean(wrong[ideal], pairs.prompt_M[ideal].tolist())
    if estimate.value in (0.0, 1.0):
        # no variation to estimate an error from: bound it as for prompts that are all right or all wrong
        return estimate_proportion(round(estimate.value * estimate.n), estimate.n)
    if estimate.low is None or estimate.high is None:
        return estimate
    return Estimate(estimate.value, estimate.n, max(0.0, estimate.low), min(1.0, estimate.high), estimate.method)


def _rate_test(pairs: Pairs, features: Sequence[str], weights: np.ndarray) -> Estimate:
    if pairs.features != tuple(features):
        differ = ", ".join(sorted(set(pairs.features) ^ set(features)))
        raise DataError(f"test comparisons have other features than those fitted: {differ}")
    return _rate(pairs, pairs.rm_delta_M + pairs.delta_MF @ weights)


def cross_validate(pairs: Pairs, rows: np.ndarray, config: FitConfig) -> Estimate:
    """Error rate on held-out prompts: every prompt is held out once, in folds drawn from `config.seed`."""
    num_prompts = len(pairs.prompts)
    num_folds = min(config.num_folds, num_prompts)
    if num_folds < 2:
        return Estimate(None, num_prompts, method="no folds")
    fold_P = np.random.default_rng(config.seed).permutation(num_prompts) % num_folds
    lead_M = np.empty(len(pairs))
    for fold in range(num_folds):
        held_M = fold_P[pairs.prompt_M] == fold
        weights = _solve(pairs.select(~held_M), rows, config).weights_F
        lead_M[held_M] = pairs.rm_delta_M[held_M] + pairs.delta_MF[held_M] @ weights
    return _rate(pairs, lead_M)


def _list_warnings(
    pairs: Pairs,
    weights: np.ndarray,
    comparisons: Sequence[Comparison],
    config: FitConfig,
    class_order: Sequence[str],
) -> list[str]:
    warnings = []
    seen = {c.label for item in comparisons for c in item.completions}
    for label in (label for level in config.order for label in level):
        if label not in seen:
            warnings.append(f"the order names {label!r}, which no completion has")
    if absent := sorted(seen - {label for level in config.order for label in level}):
        warnings.append(f"labels left out, because the order does not name them: {', '.join(absent)}")
    constant = [name for name, column in zip(pairs.features, pairs.delta_MF.T) if not column.any()]
    if constant:
        warnings.append(
            f"features that never differ within a prompt, so their weight says nothing: {', '.join(constant)}"
        )
    by_name = dict(zip(pairs.features, weights))
    classes = [name for name in (f"class:{label}" for label in class_order) if name in by_name]
    for better, worse in itertools.pairwise(classes):
        if by_name[better] < by_name[worse]:
            warnings.append(f"{better} weighs less than {worse} ({by_name[better]:.3g} < {by_name[worse]:.3g})")
    if np.abs(weights).max(initial=0.0) > 1e3:
        warnings.append("a weight exceeds 1000: the data hardly bound it; add --ridge")
    return warnings
