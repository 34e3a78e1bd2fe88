"""`viva rbr check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from vivavoce.files import write_json
from vivavoce.rbr.check import find_problems
from vivavoce.rbr.rules import DEFAULT_POLICY, read_rules


def check(rules: Annotated[str, tyro.conf.Positional] = DEFAULT_POLICY, *, json: Path | None = None) -> int:
    """Prove that exactly one class holds for every truth assignment, and list what else is wrong.

    Args:
        rules: a rule file, or the name of a policy that ships.
        json: write the findings here.
    """
    policy = read_rules(rules)
    found = find_problems(policy)
    print(f"policy {policy.name} {policy.version}, digest {policy.digest[:12]}")
    for proof in found.proofs:
        print(
            f"  {proof.response_type}: {proof.num_propositions} propositions, {proof.num_assignments} assignments, "
            "exactly one class each"
        )
    for problem in found.problems:
        print(f"  {problem.severity}, {problem.kind}: {problem.message}")
    print("not usable" if found.errors else "good")
    if json:
        proofs = {
            proof.response_type: {"propositions": proof.num_propositions, "assignments": proof.num_assignments}
            for proof in found.proofs
        }
        problems = [problem.to_json() for problem in found.problems]
        write_json(json, {"policy": policy.name, "version": policy.version, "digest": policy.digest,
                          "is_valid": not found.errors, "proofs": proofs, "problems": problems})  # fmt: skip
    return 1 if found.errors else 0
