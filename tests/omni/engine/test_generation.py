"""Choosing what was heard: silence weighs as much as words."""

import numpy as np
from scipy.special import softmax

from vivavoce.omni.engine.generation import weigh_quiet
from vivavoce.omni.engine.rules import PAD


def test_taking_the_weight_back_gives_the_probabilities_that_unweighted_training_would() -> None:
    true = np.array([0.6, 0.1, 0.25, 0.05])
    weights = np.array([0.15, 1.0, 1.0, 1.0])
    assert PAD == 0
    # the minimum of the weighted cross-entropy over p is in proportion to weight x frequency
    learned = np.log(weights * true / (weights * true).sum())
    assert learned.argmax() == 2
    np.testing.assert_allclose(softmax(weigh_quiet(learned, 0.15)), true)


def test_the_scores_given_are_left_as_they_were() -> None:
    scores = np.zeros(5, np.float32)
    weigh_quiet(scores, 0.5)
    assert not scores.any()
