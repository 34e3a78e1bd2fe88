"""`viva rbr audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from vivavoce.files import write_bytes, write_json
from vivavoce.rbr.audit import audit_reward
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.comparisons import parse_order, read_comparisons
from vivavoce.rbr.rules import DEFAULT_POLICY
from vivavoce.rbr.synth import load_contrast
from vivavoce.rbr.weights import find_made_with, read_weights


def audit(
    comparisons: Annotated[Path, tyro.conf.Positional],
    *,
    weights: Path,
    alone: Path | None = None,
    rules: str = DEFAULT_POLICY,
    report: Path | None = None,
    json: Path | None = None,
) -> None:
    """Error rates of the reward model, of both, and of the rules alone, on held-out comparisons.

    Args:
        comparisons: JSONL of held-out prompts.
        weights: the weights file of `viva rbr fit`.
        alone: weights fitted with --without-rm, for the rules alone.
        rules: the policy, for the order of labels.
        report: write a one-file HTML page with plots here.
        json: write the numbers here.
    """
    rows = read_comparisons(comparisons)
    fitted = read_weights(weights)
    made_with = find_made_with(rows)
    fitted.refuse_mismatch(made_with)
    orders = {kind: parse_order(text) for kind, text in load_contrast(load_rules(rules)).orders.items()}
    by_itself = read_weights(alone).by_response_type if alone else None
    found = audit_reward(rows, orders, fitted.by_response_type, rbr_alone=by_itself)
    for kind, rates in found.error_rates.items():
        print(f"{kind}: " + ", ".join(f"{part} {rate}" for part, rate in rates.items()))
    if found.num_ungraded:
        print(f"{found.num_ungraded} completions without a grade left out")
    if report:
        from vivavoce.rbr.audit_report import render_report

        write_bytes(report, render_report(found, {"made_with": made_with, "prompts": len(rows)}).encode())
    if json:
        write_json(json, found.to_json() | {"made_with": made_with, "num_prompts": len(rows)})
