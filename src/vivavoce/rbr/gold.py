"""How good a grader is, per proposition, on hand-labelled rows; with the trivial baselines beside it.

Accuracy flatters here, because most propositions are rare: balanced accuracy, F1, AUROC and calibration are reported with
n, positives and intervals. Where the rows cannot tell, the report says so. Thresholds come from the training split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vivavoce.grading import Coverage, Grade, Graded, count_coverage
from vivavoce.rbr.gold_set import GoldRow
from vivavoce.rbr.graders.classifier import find_threshold
from vivavoce.rbr.graders.interface import Grader, GradeRequest, grade_all_now
from vivavoce.rbr.rules import Rules
from vivavoce.stats import Estimate, bootstrap, drop_empty_interval, estimate_auroc, estimate_mean

FEW = 10  # chosen: with fewer positives or negatives an interval of balanced accuracy is wider than 0.3
NUM_DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One proposition. baselines: {name: {"balanced_accuracy", "auroc", "f1", "accuracy"}} on the same rows."""

    name: str
    num_positive: int
    coverage: Coverage
    threshold: float
    balanced_accuracy: Estimate
    auroc: Estimate
    f1: Estimate
    accuracy: Estimate
    brier: Estimate
    calibration_error: float | None
    baselines: Mapping[str, Mapping[str, float | None]]

    @property
    def verdict(self) -> str:
        """`cannot tell`, `beats`, or by which measure a baseline is at least as good."""
        n = self.balanced_accuracy.n
        if min(self.num_positive, n - self.num_positive) < FEW:
            return f"cannot tell ({self.num_positive} positives, {n - self.num_positive} negatives)"
        lost = [
            f"{measure} {baseline[measure]:.3f} of {name}"
            for name, baseline in self.baselines.items()
            for measure in ("balanced_accuracy", "auroc")
            if baseline.get(measure) is not None and not _beats(getattr(self, measure), baseline[measure])
        ]
        return "beats" if not lost else "does not beat " + ", ".join(lost)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "num_positive": self.num_positive,
            "coverage": {
                "graded": self.coverage.graded,
                "total": self.coverage.total,
                "reasons": self.coverage.reasons,
            },
            "base_rate": self.num_positive / self.balanced_accuracy.n if self.balanced_accuracy.n else None,
            "threshold": self.threshold,
            "balanced_accuracy": self.balanced_accuracy.to_json(),
            "auroc": self.auroc.to_json(),
            "f1": self.f1.to_json(),
            "accuracy": self.accuracy.to_json(),
            "brier": self.brier.to_json(),
            "calibration_error": self.calibration_error,
            "baselines": {name: dict(values) for name, values in self.baselines.items()},
            "verdict": self.verdict,
        }


def _beats(own: Estimate, other: float | None) -> bool:
    return own.value is not None and other is not None and own.value > other


def grade_rows(grader: Grader, rows: Sequence[GoldRow], names: Sequence[str]) -> list[dict[str, Grade]]:
    """All propositions of all rows."""
    requests = [GradeRequest(item=row.item, propositions=tuple(names)) for row in rows]
    return grade_all_now(grader, requests)


def choose_thresholds(
    rows: Sequence[GoldRow], grades: Sequence[Mapping[str, Grade]], names: Sequence[str]
) -> dict[str, float]:
    """Per proposition the threshold of best balanced accuracy on these (training) rows; 0.5 where they can't tell."""
    thresholds: dict[str, float] = {}
    for name in names:
        probs, truth, _ = _collect(rows, grades, name)
        enough = len(truth) and min(truth.sum(), (~truth).sum()) >= 3
        thresholds[name] = find_threshold(probs, truth) if enough else 0.5
    return thresholds


def _collect(
    rows: Sequence[GoldRow], grades: Sequence[Mapping[str, Grade]], name: str
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Probabilities and labels of the rows that are graded and labelled, and their indices."""
    index = [
        idx for idx, (row, row_grades) in enumerate(zip(rows, grades))
        if name in row.labels and isinstance(row_grades.get(name), Graded)
    ]  # fmt: skip
    probs = np.array([grade.value for idx in index if isinstance(grade := grades[idx][name], Graded)])
    truth = np.array([rows[idx].labels[name] for idx in index], dtype=bool)
    return probs, truth, index


def measure_grader(
    rows: Sequence[GoldRow],
    grades: Sequence[Mapping[str, Grade]],
    thresholds: Mapping[str, float],
    names: Sequence[str],
    *,
    baselines: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    seed: int = 0,
) -> list[Measured]:
    """Every proposition of `names` on these rows.

    baselines: {baseline: {proposition: scores [N] in 0..1 for the same rows}}; yes at 0.5.
    """
    measured = []
    for name in names:
        probs, truth, index = _collect(rows, grades, name)
        labelled = [row_grades[name] for row, row_grades in zip(rows, grades) if name in row.labels]
        threshold = thresholds.get(name, 0.5)
        compared = {
            label: _measure_baseline(scores[name][index], truth) for label, scores in (baselines or {}).items()
            if name in scores
        }  # fmt: skip
        measured.append(
            Measured(
                name=name,
                num_positive=int(truth.sum()),
                coverage=count_coverage(labelled),
                threshold=threshold,
                balanced_accuracy=_bootstrap(balance_accuracy, truth, probs >= threshold, seed),
                auroc=drop_empty_interval(estimate_auroc(probs, truth)),
                f1=_bootstrap(measure_f1, truth, probs >= threshold, seed),
                accuracy=estimate_mean((probs >= threshold) == truth),
                brier=estimate_mean((probs - truth) ** 2),
                calibration_error=measure_calibration(probs, truth),
                baselines=compared,
            )
        )
    return measured


def _measure_baseline(scores: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    yes = scores >= 0.5
    values = {"balanced_accuracy": balance_accuracy(truth, yes), "f1": measure_f1(truth, yes)}
    plain: dict[str, float | None] = {key: None if np.isnan(value) else value for key, value in values.items()}
    return plain | {
        "auroc": estimate_auroc(scores, truth).value,
        "accuracy": float((yes == truth).mean()) if len(truth) else None,
    }


def balance_accuracy(truth: np.ndarray, yes: np.ndarray) -> float:
    """Mean of the two recalls; NaN when an answer does not occur."""
    if truth.all() or not truth.any():
        return float("nan")
    return float((yes[truth].mean() + (~yes[~truth]).mean()) / 2)


def measure_f1(truth: np.ndarray, yes: np.ndarray) -> float:
    """F1 of yes; NaN when there is no positive."""
    if not truth.any():
        return float("nan")
    return float(2 * (truth & yes).sum() / (truth.sum() + yes.sum()))


def _bootstrap(measure: Any, truth: np.ndarray, yes: np.ndarray, seed: int) -> Estimate:
    found = bootstrap(lambda idx: measure(truth[idx], yes[idx]), len(truth), seed=seed, num_draws=NUM_DRAWS)
    return drop_empty_interval(found)


def measure_calibration(probs: np.ndarray, truth: np.ndarray, num_bins: int = 10) -> float | None:
    """Expected calibration error over bins of equal count (Nixon et al. 2019, adaptive form); None without rows."""
    if len(probs) == 0:
        return None
    bins = np.array_split(np.argsort(probs, kind="stable"), min(num_bins, len(probs)))
    return float(sum(len(part) * abs(probs[part].mean() - truth[part].mean()) for part in bins) / len(probs))


def predict_baselines(
    train: Sequence[GoldRow], test: Sequence[GoldRow], names: Sequence[str]
) -> dict[str, dict[str, np.ndarray]]:
    """Scores of the trivial baselines on `test`: the training majority, and words of the completion alone.

    Source of the second: TF-IDF of 1-2-grams and logistic regression, C = 10, balanced (the reference's baseline).
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(ngram_range=(1, 2))
    x_train = vectorizer.fit_transform([row.item.completion for row in train])
    x_test = vectorizer.transform([row.item.completion for row in test])
    majority: dict[str, np.ndarray] = {}
    words: dict[str, np.ndarray] = {}
    for name in names:
        truth = np.array([row.labels.get(name, False) for row in train], dtype=bool)
        majority[name] = np.full(len(test), float(truth.mean() >= 0.5))
        if truth.any() and not truth.all():
            model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=2000).fit(x_train, truth)
            words[name] = model.predict_proba(x_test)[:, 1]
    return {"majority": majority, "words": words}


def describe_limits(rows: Sequence[GoldRow], rules: Rules) -> list[str]:
    """What these rows cannot tell, in sentences."""
    limits = []
    for name in rules.propositions:
        count = sum(row.labels.get(name, False) for row in rows)
        if count < FEW:
            limits.append(f"{name}: {count} positive rows, so its recall is hardly known")
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row.response_type, rules.assign_class(row.response_type, row.labels))
        counts[key] = counts.get(key, 0) + 1
    best = rules.classes[0]
    for kind in rules.response_types:
        total = sum(count for (own, _), count in counts.items() if own == kind)
        found = counts.get((kind, best), 0)
        if total and found < FEW:
            limits.append(
                f"{kind}: {found} of {total} rows are {best}, so no threshold of that class can be chosen here"
            )
    return limits
