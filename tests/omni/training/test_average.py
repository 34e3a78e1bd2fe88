"""The mean of runs, as a run."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vivavoce.cli import main
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.training.ear import Ear
from vivavoce.omni.training.eye import Namer
from vivavoce.omni.training.loop import pack_state, write_state
from vivavoce.omni.training.places import find_weights, load_ear
from vivavoce.omni.vocabulary import save_vocabulary, train_vocabulary

SHAPE = make_tiny()
VOCABULARY = train_vocabulary(
    ["how many balls"] * 9, num_text_ids=SHAPE.num_text_ids, num_image_codes=SHAPE.num_image_codes
)


def make_run(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    for step in (5, 9):
        write_state(path / "state" / f"{step:08d}", step, pack_state({"ear": Ear(SHAPE)}, {}))
    save_vocabulary(VOCABULARY, path)
    return path


def test_every_number_is_the_mean_and_the_run_can_be_started_from(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / str(seed), seed) for seed in range(3)]
    assert main(["train", "average", *map(str, runs), "--run", str(tmp_path / "mean")]) == 0
    newest = [load_file(find_weights(run)) for run in runs]
    mean = load_ear(tmp_path / "mean", SHAPE, VOCABULARY).state_dict()
    assert len(mean) == len(newest[0])
    for name, tensor in mean.items():
        expected = torch.stack([weights[f"ear.{name}"].double() for weights in newest]).mean(0)
        torch.testing.assert_close(tensor, expected.float(), rtol=0, atol=1e-7)


def test_the_mean_keeps_the_size_that_packing_asks_for(tmp_path: Path) -> None:
    run = make_run(tmp_path / "ear", 0)
    (run / "config.json").write_text(json.dumps({"config": {"preset": "tiny", "seed": 3}}))
    assert main(["train", "average", str(run), str(run), "--run", str(tmp_path / "mean")]) == 0
    config = json.loads((tmp_path / "mean" / "config.json").read_text())["config"]
    assert config["preset"] == "tiny"
    assert len(config["mean_of"]) == 2


def test_runs_of_two_kinds_one_run_and_a_full_folder_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ear, eye = make_run(tmp_path / "ear", 0), tmp_path / "eye"
    write_state(eye / "state" / "00000001", 1, pack_state({"eye": Namer(SHAPE)}, {}))
    mean = str(tmp_path / "mean")
    for runs, wrong in (
        ([ear, eye], "name runs of one kind"),
        ([ear], "1 run named; name two or more"),
        ([ear, tmp_path], "holds no training state"),
    ):
        assert main(["train", "average", *map(str, runs), "--run", mean]) == 2
        assert wrong in capsys.readouterr().err
        assert not (tmp_path / "mean").exists()
    assert main(["train", "average", str(ear), str(ear), "--run", str(ear)]) == 2
    assert "name an empty directory" in capsys.readouterr().err
