"""Exact minimisers of the ranking hinge loss, with the dual solution that certifies them.

    minimise over w   sum_i c_i max(0, b_i - d_i . w) + ridge/2 |w|^2   subject to   G w >= 0

`d_i` is the feature difference of pair i (better minus worse), `b_i` its margin minus the reward model's difference.
Without ridge it is a linear programme, solved in its dual form by HiGHS: F rows instead of M. With ridge it is a quadratic
programme, solved by a primal-dual interior-point method. No torch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import linprog

from vivavoce.errors import DataError


class Solution(NamedTuple):
    """Weights [F], the loss they reach, and how far that can be from the optimum.

    dual_gap: loss minus the dual objective; the optimum lies within it. residual: largest violation of the dual's
    equality (linear programme only), which is the solver's arithmetic.
    """

    weights_F: np.ndarray
    objective: float
    dual_gap: float
    residual: float
    num_iterations: int


def measure_loss(
    weights_F: np.ndarray, delta_MF: np.ndarray, bound_M: np.ndarray, cost_M: np.ndarray, ridge: float
) -> float:
    """The loss of the module docstring at `weights_F`."""
    hinge = np.maximum(0.0, bound_M - delta_MF @ weights_F)
    return float(cost_M @ hinge + 0.5 * ridge * (weights_F @ weights_F))


def solve_linear(delta_MF: np.ndarray, bound_M: np.ndarray, cost_M: np.ndarray, constraint_KF: np.ndarray) -> Solution:
    """The optimum without ridge.

    Dual: maximise b.y subject to D'y + G'u = 0, 0 <= y <= c, u >= 0; w is minus the multiplier of the equality.
    Raises: DataError if HiGHS does not reach the optimum.
    """
    num_pairs, num_features = delta_MF.shape
    num_rows = len(constraint_KF)
    equality = np.vstack([delta_MF, constraint_KF]).T
    scale = 1.0 / cost_M.mean()  # costs near 1 keep HiGHS's absolute tolerances far below them
    done = linprog(
        -np.concatenate([bound_M, np.zeros(num_rows)]),
        A_eq=equality,
        b_eq=np.zeros(num_features),
        bounds=np.vstack(
            [
                np.column_stack([np.zeros(num_pairs), cost_M * scale]),
                np.column_stack([np.zeros(num_rows), np.full(num_rows, np.inf)]),
            ]
        ),
        method="highs-ds",
        options={"presolve": False},  # measured: LOG 2026-11-22, presolve costs a fifth and removes nothing
    )
    if done.status != 0:
        raise DataError(f"the linear programme was not solved: {done.message}")
    weights = _project(-np.asarray(done.eqlin.marginals, dtype=np.float64), constraint_KF)
    objective = measure_loss(weights, delta_MF, bound_M, cost_M, 0.0)
    residual = float(np.abs(equality @ done.x).max() / scale)
    return Solution(weights, objective, objective + float(done.fun) / scale, residual, int(done.nit))


def _project(weights_F: np.ndarray, constraint_KF: np.ndarray) -> np.ndarray:
    """Tidy a vertex: negligible numbers become 0, so that sign constraints hold exactly and files stay readable."""
    scale = max(1.0, float(np.abs(weights_F).max(initial=0.0)))
    tidy = np.where(np.abs(weights_F) < 1e-9 * scale, 0.0, weights_F)
    # a comparison w_i >= w_j may be broken by rounding; lift the lower side
    for row in constraint_KF:
        if row @ tidy < 0 and row @ tidy > -1e-7 * scale:
            up = np.flatnonzero(row > 0)
            if len(up):
                tidy[up[0]] -= row @ tidy
            else:
                tidy[np.flatnonzero(row < 0)[0]] = 0.0
    return tidy


def solve_ridge(
    delta_MF: np.ndarray, bound_M: np.ndarray, cost_M: np.ndarray, constraint_KF: np.ndarray, ridge: float
) -> Solution:
    """The optimum with ridge > 0.

    Mehrotra's predictor-corrector (Wright 1997, chapter 10) on the primal with slacks xi >= 0, s = D w + xi - b >= 0 and
    g = G w >= 0; their multipliers are c - y, y and u. Slacks are eliminated, so each iteration solves one F x F system.
    """
    state = _InteriorPoint(delta_MF, bound_M, cost_M, constraint_KF, ridge)
    best: Solution | None = None
    for iteration in range(1, 201):
        now = state.certify(iteration)
        if best is None or now.dual_gap < best.dual_gap:
            best = now
        if best.dual_gap <= 1e-9 * max(1.0, abs(best.objective)) or not state.step():
            break
    assert best is not None
    return best


class _InteriorPoint:
    """State of the iteration: primal w, xi, s, g; dual y (of s), z (of xi), u (of g)."""

    def __init__(
        self, delta_MF: np.ndarray, bound_M: np.ndarray, cost_M: np.ndarray, constraint_KF: np.ndarray, ridge: float
    ) -> None:
        self.delta, self.bound, self.cost, self.rows, self.ridge = delta_MF, bound_M, cost_M, constraint_KF, ridge
        self.w = np.zeros(delta_MF.shape[1])
        self.y = 0.5 * cost_M
        self.z = 0.5 * cost_M
        self.xi = np.maximum(1.0, bound_M + 1.0)
        self.s = np.maximum(1.0, self.xi - bound_M)
        self.g = np.ones(len(constraint_KF))
        self.u = np.full(len(constraint_KF), float(cost_M.mean()))

    def certify(self, iteration: int) -> Solution:
        """A feasible primal point from w and a feasible dual point from y, u."""
        w = self.w if (self.rows @ self.w >= 0).all() else _make_feasible(self.w, self.rows)
        objective = measure_loss(w, self.delta, self.bound, self.cost, self.ridge)
        y = np.clip(self.y, 0.0, self.cost)
        pull = self.delta.T @ y + self.rows.T @ np.maximum(self.u, 0.0)
        dual = float(self.bound @ y - 0.5 / self.ridge * (pull @ pull))
        return Solution(w.copy(), objective, objective - dual, 0.0, iteration)

    def step(self) -> bool:
        """One predictor-corrector step; False when it can no longer move."""
        products = np.concatenate([self.s * self.y, self.xi * self.z, self.g * self.u])
        mu = float(products.mean())
        zeros = (0.0, 0.0, 0.0)
        affine = self._direction(0.0, zeros)
        alpha = self._reach(affine)
        _, dxi, ds, dg, dy, dz, du = affine
        after = np.concatenate(
            [
                (self.s + alpha * ds) * (self.y + alpha * dy),
                (self.xi + alpha * dxi) * (self.z + alpha * dz),
                (self.g + alpha * dg) * (self.u + alpha * du),
            ]
        )
        sigma = (float(after.mean()) / mu) ** 3
        move = self._direction(sigma * mu, (ds * dy, dxi * dz, dg * du))
        alpha = min(1.0, 0.995 * self._reach(move))
        if not np.isfinite(alpha) or alpha < 1e-10:
            return False
        for name, change in zip(("w", "xi", "s", "g", "y", "z", "u"), move):
            setattr(self, name, getattr(self, name) + alpha * change)
        return True

    def _direction(self, target: float, second: tuple) -> tuple[np.ndarray, ...]:
        """Newton's direction towards products equal to `target`, corrected by `second`."""
        r_dual = self.ridge * self.w - self.delta.T @ self.y - self.rows.T @ self.u
        r_cost = self.cost - self.y - self.z
        r_s = self.delta @ self.w + self.xi - self.bound - self.s
        r_g = self.rows @ self.w - self.g
        c_s = target - self.s * self.y - second[0]
        c_xi = target - self.xi * self.z - second[1]
        c_g = target - self.g * self.u - second[2]
        # dy = (c_s - y ds) / s, dz = r_cost - dy, dxi = (c_xi - xi dz) / z, ds = r_s + D dw + dxi
        rest = r_s + (c_xi - self.xi * r_cost) / self.z
        weight = 1.0 / (self.s / self.y + self.xi / self.z)
        weight_g = self.u / self.g
        right_s = weight * (c_s / self.y - rest)
        right_g = c_g / self.g - weight_g * r_g
        matrix = (self.delta.T * weight) @ self.delta + (self.rows.T * weight_g) @ self.rows
        matrix[np.diag_indices_from(matrix)] += self.ridge
        right = -r_dual + self.delta.T @ right_s + self.rows.T @ right_g
        dw = cho_solve(cho_factor(matrix), right)
        dy = right_s - weight * (self.delta @ dw)
        dz = r_cost - dy
        dxi = (c_xi - self.xi * dz) / self.z
        ds = r_s + self.delta @ dw + dxi
        dg = r_g + self.rows @ dw
        du = (c_g - self.u * dg) / self.g
        return dw, dxi, ds, dg, dy, dz, du

    def _reach(self, move: tuple[np.ndarray, ...]) -> float:
        """Longest step in [0, 1] that keeps every slack and multiplier positive."""
        _, dxi, ds, dg, dy, dz, du = move
        reach = 1.0
        for value, change in ((self.xi, dxi), (self.s, ds), (self.g, dg), (self.y, dy), (self.z, dz), (self.u, du)):
            falling = change < 0
            if falling.any():
                reach = min(reach, float((-value[falling] / change[falling]).min()))
        return reach


def _make_feasible(w: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`w` moved onto G w >= 0 by cyclic projection (each row is a half-space)."""
    moved = w.copy()
    for _ in range(100):
        for row in rows:
            lack = row @ moved
            if lack < 0:
                moved -= lack / (row @ row) * row
        if (rows @ moved >= -1e-12).all():
            break
    return moved
