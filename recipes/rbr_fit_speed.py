"""How long the exact fit takes on the published size: 27,000 pairs, 23 features; and what the released optimiser leaves.

command    python recipes/rbr_fit_speed.py
hardware   2 CPU cores
time       under a minute
expected   linear programme under 10 s, dual gap below 1e-9, the same weights twice; docs/rbr.md has a measured run
"""

import time

import numpy as np

from vivavoce.rbr.released_fitter import descend
from vivavoce.rbr.solve import measure_loss, solve_linear, solve_ridge

NUM_PAIRS, NUM_FEATURES, SEED = 27_000, 23, 0


def draw() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feature differences of noisy rankings, bounds with a reward model's noise in them, and equal costs."""
    generator = np.random.default_rng(SEED)
    planted = 2 * generator.normal(size=NUM_FEATURES)
    delta = 0.3 * generator.normal(size=(NUM_PAIRS, NUM_FEATURES))
    sign = np.sign(delta @ planted + 0.7 * generator.normal(size=NUM_PAIRS))
    return delta * sign[:, None], 1 - generator.normal(size=NUM_PAIRS), np.full(NUM_PAIRS, 1 / NUM_PAIRS)


def main() -> None:
    """Time both solvers and the released optimiser."""
    delta, bound, cost = draw()
    free = np.zeros((0, NUM_FEATURES))
    print(f"{NUM_PAIRS} pairs x {NUM_FEATURES} features, seed {SEED}")
    for name, solve in (
        ("linear programme", lambda: solve_linear(delta, bound, cost, free)),
        ("quadratic, ridge 1e-3", lambda: solve_ridge(delta, bound, cost, free, 1e-3)),
    ):
        start, start_cpu = time.perf_counter(), time.process_time()
        found = solve()
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        same = bool(np.array_equal(found.weights_F, solve().weights_F))
        print(
            f"{name}: {seconds:.1f} s ({cpu:.1f} s of CPU), loss {found.objective:.9f}, dual gap {found.dual_gap:.1e}, same bits twice: {same}"
        )
    exact = solve_linear(delta, bound, cost, free)
    start = time.perf_counter()
    weights = descend(delta, bound, cost, 1000, 1e-2, 0.0)
    left = measure_loss(weights, delta, bound, cost, 0.0) - exact.objective
    print(f"released optimiser, 1,000 steps: {time.perf_counter() - start:.1f} s, {left:.3g} above the optimum")


if __name__ == "__main__":
    main()
