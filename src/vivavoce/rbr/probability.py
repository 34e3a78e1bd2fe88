"""Class probabilities from proposition probabilities, in both published readings.

`exact`: the probability that a class's rule holds when the propositions are independent; sums to 1 by itself.
`normalised`: every factor of the rule multiplied as written, a derived proposition counting as one factor, then divided
by the sum over classes. They differ where a derived proposition repeats what the class lists already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from vivavoce.rbr.rules import Literals, Rules

Reading = Literal["exact", "normalised"]
READINGS: tuple[Reading, ...] = ("exact", "normalised")

Node = int
FALSE: Node = 0
TRUE: Node = 1


class Diagram:
    """A reduced ordered binary decision diagram: one shared graph for any number of rules.

    Source: Bryant 1986, "Graph-based algorithms for Boolean function manipulation". The probability of a function of
    independent propositions is one pass over its nodes, because every path decides each proposition at most once.
    """

    def __init__(self, order: tuple[str, ...]) -> None:
        self._level = {name: level for level, name in enumerate(order)}
        self._order = order
        # (level, node if false, node if true); the two leaves lie below every level
        self._nodes: list[tuple[int, Node, Node]] = [(len(order), FALSE, FALSE), (len(order), TRUE, TRUE)]
        self._known: dict[tuple[int, Node, Node], Node] = {}
        self._ands: dict[tuple[Node, Node], Node] = {}
        self._nots: dict[Node, Node] = {FALSE: TRUE, TRUE: FALSE}

    def _node(self, level: int, low: Node, high: Node) -> Node:
        if low == high:
            return low
        key = (level, low, high)
        if key not in self._known:
            self._known[key] = len(self._nodes)
            self._nodes.append(key)
        return self._known[key]

    def variable(self, name: str) -> Node:
        """The function that is true when `name` is."""
        return self._node(self._level[name], FALSE, TRUE)

    def negate(self, node: Node) -> Node:
        """Not."""
        if node not in self._nots:
            level, low, high = self._nodes[node]
            self._nots[node] = self._node(level, self.negate(low), self.negate(high))
        return self._nots[node]

    def conjoin(self, a: Node, b: Node) -> Node:
        """And."""
        if FALSE in (a, b):
            return FALSE
        if a in (TRUE, b):
            return b
        if b == TRUE:
            return a
        key = (min(a, b), max(a, b))
        if key not in self._ands:
            level = min(self._nodes[a][0], self._nodes[b][0])
            (low_a, high_a), (low_b, high_b) = self._branch(a, level), self._branch(b, level)
            self._ands[key] = self._node(level, self.conjoin(low_a, low_b), self.conjoin(high_a, high_b))
        return self._ands[key]

    def _branch(self, node: Node, level: int) -> tuple[Node, Node]:
        own, low, high = self._nodes[node]
        return (low, high) if own == level else (node, node)

    def weigh(self, probs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """For every node its probability [N], given that of each proposition [N] (independent)."""
        size = len(next(iter(probs.values()))) if probs else 1
        weights = [np.zeros(size), np.ones(size)]
        for level, low, high in self._nodes[2:]:
            prob = probs[self._order[level]]
            weights.append((1 - prob) * weights[low] + prob * weights[high])
        return weights


class ClassModel:
    """Class probabilities of one response type of a policy."""

    def __init__(self, rules: Rules, response_type: str) -> None:
        self.kind = rules.find_response_type(response_type)
        self.leaves = rules.list_leaves(response_type)
        self._rules = rules
        self._diagram = Diagram(self.leaves)
        self._roots = {label: self._build(literals) for label, literals in self.kind.classes.items()}

    def _build(self, literals: Literals) -> Node:
        node = TRUE
        for name, wanted in literals.items():
            derived = self._rules.derived
            child = self._build(derived[name]) if name in derived else self._diagram.variable(name)
            node = self._diagram.conjoin(node, child if wanted else self._diagram.negate(child))
        return node

    def weigh(self, probs: Mapping[str, np.ndarray], reading: Reading) -> dict[str, np.ndarray]:
        """Probability of each class, best first: {class: [N]}; they sum to 1.

        probs: {proposition: [N]} for every leaf. NaN in the result where the `normalised` reading is undefined (all
        products are 0).
        Raises: KeyError if a leaf is missing.
        """
        probs = {name: np.atleast_1d(np.asarray(probs[name], dtype=np.float64)) for name in self.leaves}
        if reading == "exact":
            weights = self._diagram.weigh(probs)
            return {label: weights[root] for label, root in self._roots.items()}
        products = {label: self._multiply(literals, probs) for label, literals in self.kind.classes.items()}
        total = np.sum(list(products.values()), axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {label: np.where(total > 0, product / total, np.nan) for label, product in products.items()}

    def _multiply(self, literals: Literals, probs: Mapping[str, np.ndarray]) -> np.ndarray:
        product = np.ones(len(next(iter(probs.values()))) if probs else 1)
        for name, wanted in literals.items():
            derived = self._rules.derived
            factor = self._multiply(derived[name], probs) if name in derived else probs[name]
            product = product * (factor if wanted else 1 - factor)
        return product
