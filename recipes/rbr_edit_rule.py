"""Changing a rule needs no relabelling: make appeals to a policy unacceptable in hard refusals, refit on the same grades.

command    python recipes/rbr_edit_rule.py --made runs/rbr_made
hardware   one CPU core
time       seconds
expected   `reference_safety_policy` and the classes change weight, cross-validated error stays near 0, no grade is asked for
"""

import json
from dataclasses import dataclass
from pathlib import Path

import tyro
import yaml

from vivavoce.files import write_bytes
from vivavoce.grading import Graded
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.comparisons import Comparison, Completion, parse_order
from vivavoce.rbr.features import FeatureMaker, Features
from vivavoce.rbr.fit import FitConfig, fit_weights
from vivavoce.rbr.rules import Rules, find_policy, read_strict_yaml
from vivavoce.rbr.synth import Made, read_completions


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What may be changed."""

    made: Path = Path("runs/rbr_made")
    """A run of `viva rbr synth`."""
    edited: Path = Path("runs/rbr_edited_policy.yaml")
    """Where the edited policy goes."""


def edit(path: Path) -> None:
    """The default policy with one literal more: a refusal that appeals to a policy is not acceptable (before: poor style)."""
    document = read_strict_yaml(find_policy("default"))
    document["derived"]["acceptable_refusal"]["reference_safety_policy"] = False
    document["version"] = "1.1.0"
    write_bytes(path, yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())


def fit(rules: Rules, made: list[Made]) -> dict[str, float]:
    """Weights for hard refusals when the ranking follows the policy's own classes."""
    maker = FeatureMaker(rules)
    by_prompt: dict[str, list[Completion]] = {}
    for row in made:
        grades = {name: Graded(value) for name, value in row.grades.items() if value is not None}
        features = maker.make(row.response_type, grades)
        if row.response_type == "hard_refuse" and isinstance(features, Features):
            label = rules.assign_class("hard_refuse", {name: grade.value >= 0.5 for name, grade in grades.items()})
            by_prompt.setdefault(row.prompt_id, []).append(
                Completion(label=label, features=features.values, rm_score=None)
            )
    comparisons = [
        Comparison(prompt_id=prompt_id, response_type="hard_refuse", completions=tuple(completions))
        for prompt_id, completions in by_prompt.items()
    ]
    config = FitConfig(order=parse_order(">".join(rules.classes)), ridge=1e-3, num_folds=5, skip_unpaired=True)
    found = fit_weights(comparisons, config)
    print(
        f"policy {rules.version}: {found.num_pairs} pairs, dual gap {found.dual_gap:.1e}, held-out error {found.error_rate.cross_validated}"
    )
    return dict(found.weights)


def main(recipe: Recipe) -> None:
    """Fit, edit, fit again."""
    made = read_completions(recipe.made / "completions.jsonl")
    edit(recipe.edited)
    before, after = fit(load_rules(), made), fit(load_rules(recipe.edited), made)
    print("grades asked for: 0")
    moved = sorted(before, key=lambda name: -abs(before[name] - after[name]))[:5]
    print(json.dumps({name: [round(before[name], 3), round(after[name], 3)] for name in moved}, indent=2))


if __name__ == "__main__":
    main(tyro.cli(Recipe))
