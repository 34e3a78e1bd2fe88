"""A run directory re-enters only with an equal configuration, and files are whole or absent."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from vivavoce.errors import ConfigError
from vivavoce.files import digest_json, write_bytes, write_json, write_whole
from vivavoce.run import Run


@dataclass(frozen=True)
class Config:
    rate: float
    steps: int = 3


def test_a_run_goes_on_with_the_same_configuration(tmp_path: Path) -> None:
    first = Run.open(tmp_path / "r", Config(0.1))
    first.log(step=1, loss=2.0)
    again = Run.open(tmp_path / "r", Config(0.1), resume=True)
    again.log(step=2, loss=1.0)
    assert again.resumed
    assert not first.resumed
    assert [record["loss"] for record in again.read_metrics()] == [2.0, 1.0]
    assert not again.is_complete
    again.finish(loss=1.0)
    assert json.loads((tmp_path / "r" / "manifest.json").read_text())["digest"] == first.digest


def test_another_configuration_is_refused_key_by_key(tmp_path: Path) -> None:
    Run.open(tmp_path / "r", {"optimizer": {"rate": 0.1}, "steps": 3})
    with pytest.raises(ConfigError, match=r"optimizer\.rate \(0\.1 -> 0\.2\); use the old"):
        Run.open(tmp_path / "r", {"optimizer": {"rate": 0.2}, "steps": 3}, resume=True)


def test_a_directory_in_use_is_not_entered_by_accident(tmp_path: Path) -> None:
    Run.open(tmp_path / "r", Config(0.1))
    with pytest.raises(ConfigError, match="pass --resume"):
        Run.open(tmp_path / "r", Config(0.1))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").touch()
    with pytest.raises(ConfigError, match="holds files but no run"):
        Run.open(tmp_path / "other", Config(0.1), resume=True)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.doc"]


def test_a_line_cut_short_by_a_kill_is_left_out_and_later_steps_are_forgotten(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "r", Config(0.1))
    for step in (1, 2, 3):
        run.log(step=step)
    with (tmp_path / "r" / "metrics.jsonl").open("a") as handle:
        handle.write('{"step": 4, "lo')
    assert [record["step"] for record in run.read_metrics()] == [1, 2, 3]
    run.drop_metrics_after(2)
    assert [record["step"] for record in run.read_metrics()] == [1, 2]


def test_nan_is_not_logged(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Run.open(tmp_path / "r", Config(0.1)).log(loss=float("nan"))


def test_a_configuration_must_be_a_mapping(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="configuration is int"):
        Run.open(tmp_path / "r", 3)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    with pytest.raises(RuntimeError), write_whole(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"x": float("nan")})
    assert json.loads(path.read_text()) == {"x": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_a_digest_does_not_depend_on_the_order_of_keys(tmp_path: Path) -> None:
    assert digest_json({"a": 1, "b": [2]}) == digest_json({"b": [2], "a": 1})
    write_bytes(tmp_path / "deep" / "f", b"x")
    assert (tmp_path / "deep" / "f").read_bytes() == b"x"
