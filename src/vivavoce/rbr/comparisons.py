"""Ranked completions with their features: the file format, the order of labels, and the pairs that a fit compares.

One line per prompt; only completions of one prompt are ever compared. Whatever is wrong is named by file and line, and
nothing is left out in silence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vivavoce.errors import ConfigError, DataError

Order = tuple[tuple[str, ...], ...]
"""Labels from best to worst; labels in one tuple are not compared with each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One ranked completion. rm_score is None where no reward model scored it; a feature is None where ungraded."""

    label: str
    features: Mapping[str, float | None]
    rm_score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The completions of one prompt; `where` is its file and line."""

    prompt_id: str
    response_type: str
    completions: tuple[Completion, ...]
    where: str = ""
    made_with: Mapping[str, Any] = field(default_factory=dict)


def parse_order(text: str) -> Order:
    """Levels of `ideal>bad=odd>disallowed`.

    Raises: ConfigError if there is one level only, an empty label, or a label twice.
    """
    order = tuple(tuple(label.strip() for label in level.split("=")) for level in text.split(">"))
    labels = [label for level in order for label in level]
    if len(order) < 2 or not all(labels) or len(set(labels)) != len(labels):
        raise ConfigError(
            f"order is {text!r}; need at least two levels of different labels, best first, such as 'ideal>bad=odd>worst'"
        )
    return order


def read_comparisons(path: Path) -> list[Comparison]:
    """The comparisons of a JSONL file, in its order.

    Raises: DataError naming file and line for a malformed line, a repeated prompt, NaN, or features that differ in name.
    """
    if not path.is_file():
        raise DataError(f"no comparisons file {path}; make one with `viva rbr synth`, or see docs/formats.md")
    found: dict[str, Comparison] = {}
    names: dict[str, tuple[set[str], str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        comparison = _parse_comparison(line, where)
        if comparison.prompt_id in found:
            first = found[comparison.prompt_id].where
            raise DataError(f"{where}: prompt {comparison.prompt_id!r} stands in {first} too; one line per prompt")
        for idx, completion in enumerate(comparison.completions):
            known, first = names.setdefault(comparison.response_type, (set(completion.features), where))
            if set(completion.features) != known:
                differ = ", ".join(sorted(known ^ set(completion.features)))
                raise DataError(f"{where}, completion {idx}: features differ from those of {first} in {differ}")
        found[comparison.prompt_id] = comparison
    if not found:
        raise DataError(f"{path} holds no comparisons")
    return list(found.values())


def _parse_comparison(line: str, where: str) -> Comparison:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: {type(row).__name__}; need an object with prompt_id, response_type, completions")
    for key, kind in (("prompt_id", (str, int)), ("response_type", str), ("completions", list)):
        if not isinstance(row.get(key), kind):
            raise DataError(f"{where}: {key} is {row.get(key)!r:.40}; need prompt_id, response_type and completions")
    completions = tuple(
        _parse_completion(item, f"{where}, completion {i}") for i, item in enumerate(row["completions"])
    )
    return Comparison(
        prompt_id=str(row["prompt_id"]),
        response_type=row["response_type"],
        completions=completions,
        where=where,
        made_with=row.get("made_with") or {},
    )


def _parse_completion(item: Any, where: str) -> Completion:
    if not isinstance(item, dict) or not isinstance(item.get("label"), str):
        raise DataError(f"{where}: need an object with label, features and rm_score")
    features = item.get("features")
    if not isinstance(features, dict) or not features:
        raise DataError(f"{where}: features is {features!r:.40}; need {{name: number}}")
    values = {name: _read_number(value, f"{where}, feature {name}") for name, value in features.items()}
    return Completion(
        label=item["label"], features=values, rm_score=_read_number(item.get("rm_score"), f"{where}, rm_score")
    )


def _read_number(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{where} is {value!r}; need a finite number, or null where there is no grade")
    return float(value)


def refuse_shared_prompts(train: Iterable[Comparison], test: Iterable[Comparison]) -> None:
    """Raises: DataError naming both lines if a prompt is in both splits."""
    known = {comparison.prompt_id: comparison.where for comparison in train}
    for comparison in test:
        if comparison.prompt_id in known:
            both = f"{known[comparison.prompt_id]} and {comparison.where}"
            raise DataError(f"prompt {comparison.prompt_id!r} is in both splits: {both}; keep it in one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Better-worse pairs of one response type. M pairs, F features (sorted by name), prompts sorted by id."""

    features: tuple[str, ...]
    delta_MF: np.ndarray
    """Features of the better completion minus those of the worse."""
    rm_delta_M: np.ndarray
    """Reward model's score of the better minus the worse; 0 where there is no reward model."""
    prompt_M: np.ndarray
    """Index of the prompt in `prompts`."""
    margin_M: np.ndarray
    is_ideal_M: np.ndarray
    """Whether the better one has a label of the top level."""
    prompts: tuple[str, ...]
    has_rm: bool
    num_left_out: int
    """Completions left out: label not in the order, or (when allowed) ungraded."""

    def __len__(self) -> int:
        return len(self.prompt_M)

    def select(self, keep_M: np.ndarray) -> Pairs:
        """The pairs where `keep_M` is true; prompts keep their indices."""
        return Pairs(
            features=self.features, delta_MF=self.delta_MF[keep_M], rm_delta_M=self.rm_delta_M[keep_M],
            prompt_M=self.prompt_M[keep_M], margin_M=self.margin_M[keep_M], is_ideal_M=self.is_ideal_M[keep_M],
            prompts=self.prompts, has_rm=self.has_rm, num_left_out=self.num_left_out,
        )  # fmt: skip


def build_pairs(
    comparisons: Sequence[Comparison],
    order: Order,
    *,
    margin: float = 1.0,
    label_margins: Mapping[str, float] | None = None,
    skip_ungraded: bool = False,
    skip_unpaired: bool = False,
    ignore: frozenset[str] = frozenset(),
) -> Pairs:
    """All pairs of completions of one prompt whose labels stand on different levels of `order`.

    margin: what the better must lead by; `label_margins` multiply it by the better one's label (real numbers).
    skip_ungraded: leave out completions with a null feature, or a null score where others have one, instead of raising.
    skip_unpaired: leave out prompts that give no pair, instead of raising.
    ignore: features to leave out.
    Raises: DataError naming the line of a prompt that gives no pair, or of an ungraded completion.
    """
    level = {label: depth for depth, labels in enumerate(order) for label in labels}
    kept = {item.prompt_id: [c for c in item.completions if c.label in level] for item in comparisons}
    has_rm = any(c.rm_score is not None for completions in kept.values() for c in completions)
    num_left_out = sum(len(item.completions) for item in comparisons)
    names = tuple(sorted({name for item in comparisons for c in item.completions for name in c.features} - ignore))
    rows: list[tuple[np.ndarray, float, int, float, bool]] = []
    prompts: list[str] = []
    for item in sorted(comparisons, key=lambda item: item.prompt_id):
        completions = _drop_ungraded(kept[item.prompt_id], item.where, names, has_rm=has_rm, skip=skip_ungraded)
        num_left_out -= len(completions)
        if len({level[c.label] for c in completions}) < 2:
            if skip_unpaired:
                num_left_out += len(completions)
                continue
            labels = ", ".join(sorted({c.label for c in item.completions})) or "none"
            raise DataError(
                f"{item.where}: prompt {item.prompt_id!r} gives no pair: its labels are {labels}; need two that the order "
                "ranks apart (or pass --skip-unpaired)"
            )
        vectors = [np.array([c.features[name] for name in names], dtype=np.float64) for c in completions]
        for a, better in enumerate(completions):
            factor = (label_margins or {}).get(better.label, 1.0)
            for b, worse in enumerate(completions):
                if level[better.label] < level[worse.label]:
                    rm_delta = (better.rm_score or 0.0) - (worse.rm_score or 0.0)
                    is_ideal = level[better.label] == 0
                    rows.append((vectors[a] - vectors[b], rm_delta, len(prompts), margin * factor, is_ideal))
        prompts.append(item.prompt_id)
    if not rows:
        raise DataError(f"no prompt gives a pair under the order {'>'.join('='.join(labels) for labels in order)}")
    delta, rm, prompt, margins, ideal = zip(*rows)
    return Pairs(
        features=names, delta_MF=np.array(delta), rm_delta_M=np.array(rm), prompt_M=np.array(prompt),
        margin_M=np.array(margins), is_ideal_M=np.array(ideal), prompts=tuple(prompts), has_rm=has_rm,
        num_left_out=num_left_out,
    )  # fmt: skip


def _drop_ungraded(
    completions: Sequence[Completion], where: str, names: Sequence[str], *, has_rm: bool, skip: bool
) -> list[Completion]:
    graded = []
    for completion in completions:
        empty = [name for name in names if completion.features[name] is None]
        if has_rm and completion.rm_score is None:
            empty.append("rm_score")
        if empty and not skip:
            raise DataError(
                f"{where}: a completion labelled {completion.label!r} has no grade for {', '.join(empty)}; grade it again, "
                "or pass --skip-ungraded to leave such completions out"
            )
        if not empty:
            graded.append(completion)
    return graded
