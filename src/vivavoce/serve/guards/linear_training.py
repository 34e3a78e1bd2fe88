"""Fitting the moderation classifier: logistic regression with an L2 bound, and a threshold chosen by cross-validation.

For `recipes/serve_moderation.py`; the server never imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, diags

from vivavoce.errors import DataError
from vivavoce.serve.guards.linear import NUM_BUCKETS, LinearGuard, hash_features

_FOLDS = 5


def fit(texts: Sequence[str], is_bad: Sequence[bool], *, strength: float = 3.0) -> LinearGuard:
    """The classifier of these prompts, with threshold 0. strength: C of logistic regression.

    Raises: DataError if there is only one class.
    """
    labels = np.asarray(is_bad, np.float64)
    if not 0 < labels.sum() < len(labels):
        raise DataError(f"all {len(labels)} prompts have one label; need both")
    rows = [hash_features(text) for text in texts]
    ends = np.cumsum([0, *(len(row) for row in rows)])
    counts = csr_matrix((np.ones(ends[-1]), np.concatenate(rows), ends), (len(rows), NUM_BUCKETS))
    rarity = np.log((1 + len(rows)) / (1 + np.asarray(counts.sum(axis=0)).ravel())) + 1
    values = csr_matrix(counts @ diags(rarity))
    norms = np.sqrt(np.asarray(values.multiply(values).sum(axis=1)).ravel())
    values = csr_matrix(diags(1 / np.maximum(norms, 1e-9)) @ values)

    def loss(solution: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = solution[:-1], solution[-1]
        scores = values @ weights + bias
        wrong = 1 / (1 + np.exp(-scores)) - labels
        value = strength * float(np.sum(np.logaddexp(0, scores) - labels * scores)) + 0.5 * float(weights @ weights)
        return value, np.append(strength * (values.T @ wrong) + weights, strength * wrong.sum())

    found = minimize(loss, np.zeros(NUM_BUCKETS + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return LinearGuard(rarity.astype(np.float32), found[:-1].astype(np.float32), float(found[-1]), 0.0)


def score_held_out(texts: Sequence[str], is_bad: Sequence[bool], *, seed: int) -> np.ndarray:
    """Scores [N] of each prompt by a classifier that was fitted without its fold."""
    folds = np.random.default_rng(seed).permutation(len(texts)) % _FOLDS
    scores = np.zeros(len(texts))
    for fold in range(_FOLDS):
        kept = [idx for idx in range(len(texts)) if folds[idx] != fold]
        guard = fit([texts[idx] for idx in kept], [is_bad[idx] for idx in kept])
        for idx in np.flatnonzero(folds == fold).tolist():
            scores[idx] = guard.score(texts[idx])
    return scores


def fit_with_threshold(
    texts: Sequence[str], is_bad: Sequence[bool], *, false_positive_rate: float, seed: int
) -> LinearGuard:
    """The classifier, with the threshold at which that share of held-out harmless prompts was found."""
    harmless = score_held_out(texts, is_bad, seed=seed)[~np.asarray(is_bad, bool)]
    threshold = float(np.quantile(harmless, 1 - false_positive_rate))
    return replace(fit(texts, is_bad), threshold=threshold)
