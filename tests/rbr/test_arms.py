"""The recipe of the paper's arms: who prefers what, what is compared, what a second run in the same folder may not change."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.rbr.test_train import tiny_model

from vivavoce.content import user
from vivavoce.errors import ConfigError
from vivavoce.rbr.synth import Made


@pytest.fixture(scope="module")
def arms() -> ModuleType:
    path = Path(__file__).parents[2] / "recipes" / "rbr_arms.py"
    spec = importlib.util.spec_from_file_location("recipe_rbr_arms", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def make_rows(kind: str, area: str, labels: tuple[str, ...]) -> list[Made]:
    return [
        Made(
            prompt_id="train-x-000", prompt=(user("Please"),), response_type=kind, area=area, label=label,
            completion=label, wanted={}, is_verified=True, num_attempts=1,
        )
        for label in labels
    ]  # fmt: skip


def test_raters_like_what_the_paper_says_of_them(arms: ModuleType) -> None:
    harmful = make_rows("hard_refuse", "crime_forbidden", ("ideal", "bad", "disallowed"))
    borderline = make_rows("comply", "crime_permitted", ("complies", "partly", "refuses", "illogical"))
    plain = make_rows("comply", "none", ("complies", "partly", "refuses", "illogical"))

    def best(rows: list[Made], caution: float | None) -> str:
        (row,) = arms.list_best(rows, caution=caution, seed=0)
        return row["messages"][-1]["content"]

    assert [best(rows, None) for rows in (harmful, borderline, plain)] == ["disallowed", "complies", "complies"]
    assert [best(rows, 1.0) for rows in (harmful, borderline, plain)] == ["ideal", "refuses", "complies"]
    assert [best(rows, 0.0) for rows in (harmful, borderline, plain)] == ["ideal", "complies", "complies"]
    liked = {
        (p.chosen.completion, p.rejected.completion) for p in arms.make_preferences(borderline, caution=1.0, seed=0)
    }
    assert ("refuses", "complies") in liked
    assert ("complies", "refuses") not in liked


def test_arms_are_compared_by_their_intervals(arms: ModuleType) -> None:
    def row(low: float, high: float) -> dict[str, Any]:
        return {"f1": {"value": (low + high) / 2, "n": 9, "ci": [low, high]}}

    table = {"start": row(0.2, 0.4), "human": row(0.5, 0.7), "rbr": row(0.6, 0.9)}
    assert [line.rsplit(": ", 1)[1] for line in arms.compare(table)] == ["higher, intervals apart", "intervals overlap"]
    table["rbr"]["f1"]["ci"] = None
    assert arms.compare(table)[0].endswith("cannot be compared")


def test_an_unknown_arm_and_other_settings_in_the_same_folder_are_refused(arms: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="arms rlhf are unknown"):
        arms.Recipe(out=tmp_path, arms=("start", "rlhf"))
    out = tmp_path / "arms"
    first = arms.Recipe(out=out, arms=(), num_steps=3)
    arms.Run.open(out, {k: v for k, v in arms.asdict(first).items() if k not in ("out", "arms", "launch")})
    for name in ("fixed.json", "table.json"):
        (out / name).write_text("{}")
    arms.main(first)
    with pytest.raises(ConfigError, match="launch"):
        arms.main(arms.Recipe(out=out, arms=(), num_steps=3, launch="accelerate launch"))
    with pytest.raises(ConfigError, match=r"num_steps \(3 -> 4\)"):
        arms.main(arms.Recipe(out=out, arms=(), num_steps=4))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_recipe_runs_to_its_table_and_goes_on_where_it_stopped(
    arms: ModuleType, tmp_path: Path, gold_folder: Path
) -> None:
    text_model, base = tiny_model(), tmp_path / "base"
    text_model.model.save_pretrained(base)
    text_model.tokenizer.save_pretrained(base)

    def recipe(*names: str) -> Any:
        return arms.Recipe(
            out=tmp_path / "arms", gold=gold_folder, model=str(base), arms=names, num_steps=1, num_generations=2,
            batch_prompts=2, max_tokens=6, limit=1, samples=1,
        )  # fmt: skip

    arms.main(recipe("start", "rbr"))
    (tmp_path / "arms" / "human" / "left").mkdir(parents=True)  # an arm that was stopped
    arms.main(recipe("start", "human", "rbr"))
    table = json.loads((tmp_path / "arms" / "table.json").read_text())
    assert set(table) == {"start", "rbr", "human"}
    assert {row["coverage"]["graded"] for row in table.values()} == {10}
    assert table["rbr"]["train_s"] > 0
    judge, grader = (
        json.loads((tmp_path / "arms" / name / "grader.json").read_text()) for name in ("judge", "reward_grader")
    )
    assert "authored" not in judge["made_from"], "the judge shares no label with the reward"
    assert "odd" in judge["made_from"]["gold"]
    assert "even" in grader["made_from"]["gold"]
