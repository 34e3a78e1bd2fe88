"""The scaling recipe at toy size: it trains, measures, draws, and goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from vivavoce.critique import scaling
from vivavoce.critique.scaling import ScalingConfig, draw, list_curve, make_training, run_scaling
from vivavoce.critique.training import TrainingConfig
from vivavoce.errors import ConfigError


def estimate(value: float | None) -> dict:
    return {"value": value, "n": 3, "ci": None if value is None else [value - 0.1, value + 0.1], "method": "x"}


def point(size: str, loss: float, gain: float | None) -> dict:
    return {
        "size": size, "loss_nats_per_char": estimate(loss),
        "refinement": {"conditional_best - original": estimate(gain), "direct - original": estimate(0.0)},
        "tasks": {"addition": {"gaps": {name: estimate(0.2) for name in ("GD", "GC", "CD", "CD_pairs")}}},
        "all_tasks": {name: estimate(0.3) for name in ("GD", "GC", "CD", "CD_pairs")},
    }  # fmt: skip


def test_the_curve_leaves_out_what_is_undefined_and_is_drawn(tmp_path: Path) -> None:
    points = [point("a", 1.0, None), point("b", 0.5, 0.3)]
    points[0]["cross"] = {
        "valid": {
            "a": {"a": estimate(0.1), "b": estimate(0.05)},
            "b": {"a": estimate(0.4), "b": estimate(0.2)},
        },
        "flawed": {"a": estimate(0.9)},
    }
    rows = list_curve(points)
    gains = [row for row in rows if row["measure"] == "refinement gain, best critique"]
    assert [(row["size"], row["loss"], row["value"]) for row in gains] == [("b", 0.5, 0.3)]
    values = {measure: [row["value"] for row in rows if row["measure"] == measure] for measure in
              ("self-critique valid", "valid on the worst model's answers", "best critic valid on own answers")}  # fmt: skip
    assert list(values.values()) == [[0.1, 0.2], [0.1, 0.4], [0.4, 0.2]]
    draw(points, tmp_path / "scaling.svg")
    assert (tmp_path / "scaling.svg").read_text().startswith("<svg")


def test_one_size_is_no_curve() -> None:
    with pytest.raises(ConfigError, match="two or more"):
        ScalingConfig(sizes=("2xs",))


def test_points_of_other_settings_are_refused_and_a_size_may_be_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(size: str, *_: object) -> dict:
        raise RuntimeError(f"stopped at {size}")

    monkeypatch.setattr(scaling, "_measure_size", stop)
    monkeypatch.setattr(scaling, "make_data", lambda config: ([], []))
    for sizes in (("2xs", "xs"), ("s", "2xs", "xs")):
        with pytest.raises(RuntimeError, match=f"stopped at {sizes[0]}"):
            run_scaling(ScalingConfig(sizes=sizes, num_items=2), tmp_path)
    with pytest.raises(ConfigError, match=r"num_items \(2 -> 3\)"):
        run_scaling(ScalingConfig(sizes=("2xs", "xs"), num_items=3), tmp_path)


@pytest.mark.slow
def test_the_recipe_runs_at_toy_size_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    config = ScalingConfig(
        sizes=("2xs", "xs"), training=TrainingConfig(num_examples=32, batch_examples=16), num_problems=8, num_items=2, num_validation=2,
        num_critiques=1,
    )  # fmt: skip
    points = run_scaling(config, tmp_path)
    assert {point["size"] for point in points} == {"2xs", "xs"}
    assert (tmp_path / "points.json").is_file()
    assert (tmp_path / "scaling.svg").is_file()
    before = (tmp_path / "xs" / "point.json").stat().st_mtime_ns
    run_scaling(config, tmp_path)
    assert (tmp_path / "xs" / "point.json").stat().st_mtime_ns == before
    trained = {size: tmp_path / size / "run" / "model" for size in config.sizes}
    again = run_scaling(config, tmp_path / "again", trained=trained)
    assert [point["loss_nats_per_char"] for point in again] == [point["loss_nats_per_char"] for point in points]
    assert [point["all_tasks"] for point in again] == [point["all_tasks"] for point in points]
    assert not (tmp_path / "again" / "xs" / "run").exists()


def test_a_pretrained_size_has_its_own_rate_and_share_of_examples_and_nothing_else() -> None:
    shared = TrainingConfig(num_examples=640, batch_examples=64, learning_rate=2e-3)
    config = ScalingConfig(training=shared, pretrained_num_examples=80, pretrained_batch_examples=8, seed=3)
    small, large = make_training("xs", config), make_training("smollm2-135m-instruct", config)
    assert (small.num_examples, small.batch_examples, small.learning_rate, small.seed) == (640, 64, 2e-3, 3)
    assert (large.num_examples, large.batch_examples, large.learning_rate, large.seed) == (80, 8, 1e-4, 3)
    alike = make_training("smollm2-135m-instruct", ScalingConfig(training=shared))
    assert (alike.num_examples, alike.batch_examples) == (640, 64)
