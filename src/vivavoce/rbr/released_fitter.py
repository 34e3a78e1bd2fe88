"""The released fitter's optimiser, for comparison with the exact one: full-batch AdamW from zero.

Source: openai/safety-rbr-code-and-data at 7f489fa, `rbr_weight_fitter.py`, as described in its documentation: AdamW,
learning rate 1e-2, zero initialisation, 1,000 full-batch steps. We differ: margins stay real numbers (there they are cut
to integers), and pairs come from one prompt at a time.
"""

from __future__ import annotations

import numpy as np
import torch


def descend(
    delta_MF: np.ndarray,
    bound_M: np.ndarray,
    cost_M: np.ndarray,
    num_steps: int,
    learning_rate: float,
    weight_decay: float,
) -> np.ndarray:
    """Weights [F] after `num_steps` of AdamW on the hinge loss of `solve.py`."""
    delta, bound, cost = (torch.from_numpy(np.ascontiguousarray(array)) for array in (delta_MF, bound_M, cost_M))
    weights = torch.zeros(delta.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.AdamW([weights], lr=learning_rate, weight_decay=weight_decay)
    for _ in range(num_steps):
        optimizer.zero_grad()
        (cost @ torch.relu(bound - delta @ weights)).backward()
        optimizer.step()
    return weights.detach().numpy()
