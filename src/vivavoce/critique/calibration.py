"""Calibrated yes/no heads: a scale and an offset on the log odds of the two labels, fitted on held-out examples.

Source: Platt scaling (Platt 1999), with his smoothed targets so that a perfect separation stays finite. Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit

from vivavoce.errors import DataError


@dataclass(frozen=True, slots=True)
class Calibration:
    """P(yes) = sigmoid(scale x log odds + offset). `n` examples it was fitted on; 0 for none."""

    scale: float = 1.0
    offset: float = 0.0
    n: int = 0

    def apply(self, log_odds: float) -> float:
        """The calibrated probability."""
        return float(expit(self.scale * log_odds + self.offset))


def fit_calibration(log_odds: ArrayLike, labels: Sequence[bool]) -> Calibration:
    """The maximum-likelihood scale and offset.

    Raises: DataError unless both labels occur, and every log odds is finite.
    """
    x, y = np.asarray(log_odds, float), np.asarray(labels, bool)
    if y.all() or not y.any():
        raise DataError(f"{len(y)} examples all have one label; calibration needs both yes and no")
    if not np.isfinite(x).all():
        raise DataError("log odds are not finite; leave ungraded examples out")
    num_yes, num_no = int(y.sum()), int((~y).sum())
    targets = np.where(y, (num_yes + 1) / (num_yes + 2), 1 / (num_no + 2))
    spread = float(x.std()) or 1.0

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        z = parameters[0] * x / spread + parameters[1]
        residual = expit(z) - targets
        value = np.logaddexp(0, z) - targets * z
        return float(value.mean()), np.array([(residual * x).mean() / spread, residual.mean()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B")
    return Calibration(float(found.x[0]) / spread, float(found.x[1]), len(y))


def measure_calibration_error(probabilities: ArrayLike, labels: Sequence[bool], *, num_bins: int = 10) -> float:
    """Expected calibration error over equally filled bins (Naeini et al. 2015, with equal mass)."""
    p, y = np.asarray(probabilities, float), np.asarray(labels, float)
    if p.size == 0:
        return math.nan
    order = np.argsort(p, kind="stable")
    bins = np.array_split(order, min(num_bins, len(p)))
    return float(sum(len(members) * abs(p[members].mean() - y[members].mean()) for members in bins) / len(p))
