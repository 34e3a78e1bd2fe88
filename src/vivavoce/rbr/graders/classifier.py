"""A small trained classifier per proposition: grades a completion in a millisecond, with nothing to download.

Logistic regression on `text_features`, its score calibrated on held-out folds, its threshold chosen there. A folder of
safetensors and JSON; no text and no vocabulary is stored.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from vivavoce.errors import CheckpointError, DataError
from vivavoce.files import digest_file, digest_json, write_json, write_whole
from vivavoce.grading import Grade, Ungraded, grade_probability
from vivavoce.rbr.graders.interface import GradeRequest, Item, Usage, refuse_empty
from vivavoce.rbr.graders.text_features import TextFeatures

FORMAT = 1
MIN_POSITIVES = 3  # chosen: with fewer of either answer there is nothing to hold out


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A completion with what is known of it; `weight` counts it more or less."""

    item: Item
    labels: Mapping[str, bool]
    weight: float = 1.0
    is_authored: bool = False
    """Written to order: trained on, never calibrated or judged on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One proposition's scale: probability = sigmoid(slope * score + shift); yes at or above `threshold`."""

    slope: float
    shift: float
    threshold: float
    num_positive: int
    num_negative: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """Weights [P, F], offsets [P], column weights [H] and a head per proposition, in one order."""

    names: tuple[str, ...]
    weights_PF: np.ndarray
    offsets_P: np.ndarray
    idf_H: np.ndarray
    heads: Mapping[str, Head]
    skipped: Mapping[str, str]
    """Propositions that could not be trained, and why."""
    made_from: Mapping[str, Any]

    @property
    def thresholds(self) -> dict[str, float]:
        """Where each probability turns into yes."""
        return {name: head.threshold for name, head in self.heads.items()}


def train_classifier(
    examples: Sequence[Example],
    names: Sequence[str],
    *,
    strength: float = 1.0,
    num_folds: int = 5,
    seed: int = 0,
    made_from: Mapping[str, Any] | None = None,
) -> Classifier:
    """A classifier of the propositions `names` that the examples label.

    strength: inverse regularisation of the logistic regression. Folds only touch examples that are not authored.
    Raises: DataError if no proposition has enough examples of both answers.
    """
    examples = [example for example in examples if example.item.completion.strip()]
    if not examples:
        raise DataError("no completion to train on")
    features = TextFeatures()
    items = [example.item for example in examples]
    idf = features.measure_idf([example.item for example in examples if not example.is_authored] or items)
    rows: Any = features.make(items, idf)
    heads: dict[str, Head] = {}
    skipped: dict[str, str] = {}
    weights, offsets, kept = [], [], []
    for name in names:
        own = np.array([idx for idx, example in enumerate(examples) if name in example.labels])
        truth: np.ndarray = np.array([examples[idx].labels[name] for idx in own], dtype=bool)
        if min(truth.sum(), (~truth).sum()) < MIN_POSITIVES:
            skipped[name] = f"{int(truth.sum())} positive and {int((~truth).sum())} negative examples"
            continue
        cost = np.array([examples[idx].weight for idx in own])
        real = np.array([not examples[idx].is_authored for idx in own])
        x: Any = rows[own]
        held_out = _score_held_out(x, truth, cost, real, strength, num_folds, seed)
        heads[name] = _calibrate(held_out, truth[real])
        model: Any = _fit(x, truth, cost, strength)
        weights.append(model.coef_[0])
        offsets.append(model.intercept_[0])
        kept.append(name)
    if not kept:
        raise DataError(f"no proposition has {MIN_POSITIVES} examples of both answers")
    # half precision is what the file keeps, so that training and loading give the same grades
    return Classifier(
        names=tuple(kept),
        weights_PF=np.array(weights, dtype=np.float16),
        offsets_P=np.array(offsets, dtype=np.float32),
        idf_H=idf,
        heads=heads,
        skipped=skipped,
        made_from=dict(made_from or {}),
    )


def _fit(x: Any, truth: np.ndarray, cost: np.ndarray, strength: float) -> LogisticRegression:
    # few rows, many columns: the dual coordinate solver is the quick one there
    model = LogisticRegression(
        C=strength, class_weight="balanced", max_iter=2000, solver="liblinear", dual=True, random_state=0
    )
    return model.fit(x, truth, sample_weight=cost)


def _score_held_out(
    x: Any, truth: np.ndarray, cost: np.ndarray, real: np.ndarray, strength: float, num_folds: int, seed: int
) -> np.ndarray:
    """Scores of the real examples, each by a model that has not seen it; NaN where folds are impossible."""
    scores = np.full(len(truth), np.nan)
    index = np.flatnonzero(real)
    folds = min(num_folds, int(truth[index].sum()), int((~truth[index]).sum()))
    if folds >= 2:
        split = StratifiedKFold(folds, shuffle=True, random_state=seed).split(index, truth[index])
        for _, held in split:
            held_idx = index[held]
            rest = np.setdiff1d(np.arange(len(truth)), held_idx)
            scores[held_idx] = _fit(x[rest], truth[rest], cost[rest], strength).decision_function(x[held_idx])
    return scores[index]


def _calibrate(scores: np.ndarray, truth: np.ndarray) -> Head:
    """Platt's scale and the threshold of best balanced accuracy, from held-out scores (Platt 1999)."""
    counts = {"num_positive": int(truth.sum()), "num_negative": int((~truth).sum())}
    if np.isnan(scores).any() or not truth.any() or truth.all():
        return Head(slope=1.0, shift=0.0, threshold=0.5, **counts)
    scale = LogisticRegression(C=1.0, max_iter=1000).fit(scores[:, None], truth)
    slope = max(float(scale.coef_[0, 0]), 1e-3)
    shift = float(scale.intercept_[0])
    probs = 1 / (1 + np.exp(-(slope * scores + shift)))
    return Head(slope=slope, shift=shift, threshold=find_threshold(probs, truth), **counts)


def find_threshold(probs: np.ndarray, truth: np.ndarray) -> float:
    """The threshold of best balanced accuracy, halfway between neighbours; the middle one of equally good ones."""
    values = np.unique(probs)
    cuts = np.concatenate([[values[0]], (values[1:] + values[:-1]) / 2])
    yes = probs[None, :] >= cuts[:, None]
    balanced = (yes[:, truth].mean(axis=1) + (~yes[:, ~truth]).mean(axis=1)) / 2
    best = np.flatnonzero(balanced >= balanced.max() - 1e-12)
    return float(cuts[best[len(best) // 2]])


def save_classifier(folder: Path, classifier: Classifier) -> None:
    """Write `weights.safetensors` and `grader.json`; the JSON comes last, so its presence means complete."""
    with write_whole(folder / "weights.safetensors") as path:
        tensors = {"weights": classifier.weights_PF, "offsets": classifier.offsets_P, "idf": classifier.idf_H}
        save_file(tensors, path)
    write_json(
        folder / "grader.json",
        {
            "format": FORMAT,
            "text_features": TextFeatures().digest,
            "weights_sha256": digest_file(folder / "weights.safetensors"),
            "names": list(classifier.names),
            "heads": {
                name: {
                    "slope": head.slope, "shift": head.shift, "threshold": head.threshold,
                    "num_positive": head.num_positive, "num_negative": head.num_negative,
                }
                for name, head in classifier.heads.items()
            },
            "skipped": dict(classifier.skipped),
            "made_from": dict(classifier.made_from),
        },
    )  # fmt: skip


def load_classifier(folder: Path) -> Classifier:
    """A classifier from its folder. Raises: CheckpointError naming what is missing or differs."""
    path = folder / "grader.json"
    if not path.is_file():
        raise CheckpointError(f"no grader in {folder} (grader.json is missing); make one with `viva rbr distill`")
    document = json.loads(path.read_text())
    if document.get("format") != FORMAT or document.get("text_features") != TextFeatures().digest:
        found = f"format {document.get('format')}, text features {document.get('text_features')}"
        raise CheckpointError(f"{path} has {found}; need {FORMAT} and {TextFeatures().digest}; distill it again")
    weights_path = folder / "weights.safetensors"
    if not weights_path.is_file() or digest_file(weights_path) != document["weights_sha256"]:
        raise CheckpointError(f"{weights_path} is missing or not the file that grader.json names; distill it again")
    tensors = load_file(weights_path)
    features, num_names = TextFeatures(), len(document["names"])
    shapes = {"weights": (num_names, features.size), "offsets": (num_names,), "idf": (features.num_hashed,)}
    if (found := {name: tensor.shape for name, tensor in tensors.items()}) != shapes:
        raise CheckpointError(f"{weights_path} has shapes {found}; need {shapes}")
    return Classifier(
        names=tuple(document["names"]),
        weights_PF=tensors["weights"],
        offsets_P=tensors["offsets"],
        idf_H=tensors["idf"],
        heads={name: Head(**head) for name, head in document["heads"].items()},
        skipped=document["skipped"],
        made_from=document["made_from"],
    )


class ClassifierGrader:
    """Grades with a trained classifier; a proposition it was not trained on is ungraded (`untrained`)."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.usage = Usage()
        self._features = TextFeatures()
        self._weights_FP = classifier.weights_PF.astype(np.float64).T
        heads = [[head.slope, head.shift] for head in classifier.heads.values()]
        body = [hashlib.sha256(classifier.weights_PF.tobytes() + classifier.idf_H.tobytes()).hexdigest(), heads]
        self.identity = f"classifier:{digest_json(body)[:12]}"

    async def grade(self, request: GradeRequest) -> dict[str, Grade]:
        """A grade for every proposition it knows."""
        start = time.perf_counter()
        if (empty := refuse_empty(request)) is not None:
            self.usage.num_ungraded += len(empty)
            return empty
        probs = self.predict([request.item])
        grades: dict[str, Grade] = {
            name: grade_probability(float(probs[name][0])) if name in probs else self._explain(name)
            for name in request.propositions
        }
        ungraded = sum(isinstance(grade, Ungraded) for grade in grades.values())
        seconds = time.perf_counter() - start
        self.usage.add(Usage(num_requests=1, num_grades=len(grades), num_ungraded=ungraded, seconds=seconds))
        return grades

    def _explain(self, name: str) -> Ungraded:
        why = self.classifier.skipped.get(name, "not among its propositions")
        return Ungraded("untrained", f"the classifier has no {name}: {why}")

    def predict(self, items: Sequence[Item]) -> dict[str, np.ndarray]:
        """Probabilities of many items at once, {proposition: [N]}."""
        scores_NP = self._features.make(
            items, self.classifier.idf_H
        ) @ self._weights_FP + self.classifier.offsets_P.astype(np.float64)
        return {
            name: 1
            / (1 + np.exp(-(self.classifier.heads[name].slope * scores_NP[:, idx] + self.classifier.heads[name].shift)))
            for idx, name in enumerate(self.classifier.names)
        }
