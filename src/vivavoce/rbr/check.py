"""Proof by enumeration that a policy's classes are exclusive and complete, and a search for what else is wrong with it.

For every response type all truth assignments of the propositions that matter are tried; exactly one class must hold for
each. Otherwise the smallest counterexample is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vivavoce.errors import ConfigError
from vivavoce.rbr.rules import DEFAULT_POLICY, Literals, Rules, read_rules

MAX_LEAVES = 24  # chosen: 2^24 assignments fit in memory and take seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding. `error` makes the policy unusable; `warning` does not."""

    severity: Literal["error", "warning"]
    kind: str
    message: str

    def to_json(self) -> dict[str, str]:
        """Plain JSON."""
        return {"severity": self.severity, "kind": self.kind, "message": self.message}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What enumeration covered for one response type."""

    response_type: str
    num_propositions: int
    num_assignments: int


@dataclass(frozen=True, slots=True)
class Findings:
    """All problems of a policy, and a proof for each response type that has none."""

    problems: tuple[Problem, ...]
    proofs: tuple[Proof, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Problems that make the policy unusable."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def load_rules(name_or_path: str | Path = DEFAULT_POLICY) -> Rules:
    """A policy that passed every check. Raises: ConfigError with the first error and how many there are."""
    rules = read_rules(name_or_path)
    errors = list(find_problems(rules).errors)
    if errors:
        more = f" (and {len(errors) - 1} more; `viva rbr check` lists all)" if len(errors) > 1 else ""
        raise ConfigError(f"policy {rules.source}: {errors[0].message}{more}")
    return rules


def find_problems(rules: Rules) -> Findings:
    """Cycles, unknown names, clashes, unused propositions, and for each response type overlaps and gaps."""
    problems = [*_find_names(rules), *_find_cycles(rules)]
    proofs: list[Proof] = []
    if not problems:
        for name in rules.response_types:
            wrong, proof = _enumerate(rules, name)
            problems.extend(wrong)
            proofs.extend([proof] if proof else [])
        problems.extend(_find_unused(rules))
    return Findings(tuple(problems), tuple(proofs))


def _error(kind: str, message: str) -> Problem:
    return Problem(severity="error", kind=kind, message=message)


def _list_conjunctions(rules: Rules) -> Iterator[tuple[str, Literals]]:
    for name, literals in rules.derived.items():
        yield f"derived proposition {name}", literals
    for kind in rules.response_types.values():
        for label, literals in kind.classes.items():
            yield f"class {label} of {kind.name}", literals


def _find_names(rules: Rules) -> Iterator[Problem]:
    known = rules.propositions.keys() | rules.derived.keys()
    for name in sorted(rules.propositions.keys() & rules.derived.keys()):
        yield _error("duplicate", f"{name} is both a proposition and a derived proposition; rename one")
    for where, literals in _list_conjunctions(rules):
        for name in literals:
            if name not in known:
                yield _error("unknown", f"{where} uses {name}, which is not defined")
    for kind in rules.response_types.values():
        for name in kind.features:
            if name not in rules.propositions:
                yield _error("unknown", f"features of {kind.name} name {name}, which is no simple proposition")
    for area in rules.content_areas.values():
        if area.response_type not in rules.response_types:
            yield _error("unknown", f"content area {area.name} maps to {area.response_type}, which is no response type")
    owners: dict[str, str] = {}
    for kind in rules.response_types.values():
        for alias in (kind.name, *kind.aliases):
            if alias in owners and owners[alias] != kind.name:
                yield _error("duplicate", f"{alias} names both {owners[alias]} and {kind.name}")
            owners[alias] = kind.name


def _find_cycles(rules: Rules) -> Iterator[Problem]:
    """Depth-first over derived propositions; each cycle is reported once, by the path that closes it."""
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[Problem]:
        if name in path:
            loop = " -> ".join((*path[path.index(name) :], name))
            yield _error("cycle", f"derived propositions form a cycle: {loop}")
        elif name in rules.derived and name not in done:
            for child in rules.derived[name]:
                yield from visit(child, (*path, name))
            done.add(name)

    for name in rules.derived:
        yield from visit(name, ())


def _enumerate(rules: Rules, response_type: str) -> tuple[list[Problem], Proof | None]:
    leaves = rules.list_leaves(response_type)
    if len(leaves) > MAX_LEAVES:
        text = f"response type {response_type} uses {len(leaves)} propositions; at most {MAX_LEAVES} can be enumerated"
        return [_error("size", text)], None
    held = hold_classes(rules, response_type, enumerate_truths(leaves))
    counts = np.sum(list(held.values()), axis=0)
    problems = []
    for kind, wrong in (("overlap", np.flatnonzero(counts > 1)), ("gap", np.flatnonzero(counts == 0))):
        if len(wrong):
            # the counterexample with the fewest true propositions is the easiest to read
            row = int(min(wrong, key=lambda row: (int(row).bit_count(), int(row))))
            both = " and ".join(label for label, flags in held.items() if flags[row])
            true_names = [name for bit, name in enumerate(leaves) if row >> bit & 1]
            text = (
                f"response type {response_type}: {f'classes {both} hold together' if both else 'no class holds'} when "
                f"{', '.join(true_names) or 'nothing'} is true and all else is false "
                f"({len(wrong)} of {len(counts)} assignments)"
            )
            problems.append(_error(kind, text))
    if problems:
        return problems, None
    return [], Proof(response_type=response_type, num_propositions=len(leaves), num_assignments=len(counts))


def enumerate_truths(leaves: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Every assignment: row i of each array [2^n] is bit `position of the leaf` of i."""
    rows = np.arange(2 ** len(leaves), dtype=np.int64)
    return {name: (rows >> bit & 1).astype(bool) for bit, name in enumerate(leaves)}


def hold_classes(rules: Rules, response_type: str, truths: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """For each class, which rows of `truths` it holds for ([N] bool)."""
    kind = rules.find_response_type(response_type)
    return {label: rules.holds(literals, truths) for label, literals in kind.classes.items()}


def _find_unused(rules: Rules) -> Iterator[Problem]:
    named = {name for _, literals in _list_conjunctions(rules) for name in literals}
    features = {name for kind in rules.response_types.values() for name in kind.features}
    for name in rules.propositions:
        if name not in named | features:
            yield Problem(
                severity="warning", kind="unused", message=f"proposition {name} is in no rule and no feature list"
            )
    for name in rules.derived:
        if name not in named:
            yield Problem(severity="warning", kind="unused", message=f"derived proposition {name} is in no rule")
