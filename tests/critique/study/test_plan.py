"""The preregistration file."""

from pathlib import Path

import pytest
import yaml

from vivavoce.critique.study.plan import TEMPLATE, digest_plan, load_plan, plan_from_json, plan_to_json
from vivavoce.errors import ConfigError


def test_the_template_loads_and_survives_the_database() -> None:
    plan = load_plan(TEMPLATE)
    assert plan_from_json(plan_to_json(plan)) == plan
    assert [arm.name for arm in plan.arms] == ["none", "model", "human", "evidence"]


def test_the_digest_changes_with_any_value() -> None:
    plan = load_plan(TEMPLATE)
    changed = plan_from_json({**plan_to_json(plan), "alpha": 0.01})
    assert digest_plan(plan) != digest_plan(changed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"control": "nothing"}, "control is 'nothing'; need one of the arms"),
        ({"decoys": 8}, "decoys is 8; need fewer than the smallest k, 8"),
        ({"arms": [{"name": "x", "assistance": "critiques", "author": "model"}]}, "arm 'x' has author 'model' and k 0"),
        ({"colour": "blue"}, r"plan has unknown keys \['colour'\]"),
        ({"kinds": {"robot": 1}}, "kinds are"),
        ({"hypotheses": [{"name": "h", "outcome": "luck", "kinds": ["model"], "arm": "model", "against": "none"}]}, "outcome 'luck'"),
        ({"alpha": 5}, "alpha is 5; need a number between 0 and 1"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_run_is_refused_with_the_value(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_from_json({**plan_to_json(load_plan(TEMPLATE)), **change})


def test_a_plan_that_lacks_a_field_names_it(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    values = yaml.safe_load(TEMPLATE.read_text())
    del values["consent"]
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match=r"plan is not complete.*consent"):
        load_plan(path)


def test_a_broken_plan_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("name: [unclosed")
    with pytest.raises(ConfigError, match="cannot read the plan"):
        load_plan(path)
