"""Training the trunk: resumed equals uninterrupted, sharded equals whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.omni.rows import make_row
from tests.omni.training.sharded_run import make_config, train
from vivavoce.content import Audio, assistant, user
from vivavoce.content_formats import to_openai
from vivavoce.data.curriculum import DEFAULT_MIX
from vivavoce.data.import_command import import_recordings
from vivavoce.data.loaders.real import RealData
from vivavoce.errors import ConfigError
from vivavoce.media import write_audio
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.losses import LossWeights, compute_losses
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.step_batch import collate
from vivavoce.omni.training import train_command
from vivavoce.omni.training.loop import newest_state
from vivavoce.omni.training.omni import OmniTrainConfig, make_optimizers


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    state = newest_state(folder)
    assert state is not None
    return load_file(state / "weights.safetensors")


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_run_killed_and_resumed_ends_with_the_same_bits(tmp_path: Path, optimizer: str) -> None:
    config = make_config(5, optimizer)
    train(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", config, stop_after=3)
    assert newest_state(tmp_path / "cut").name == "00000002"  # type: ignore[union-attr]
    train(tmp_path / "cut", config)
    whole, cut = weights_of(tmp_path / "whole"), weights_of(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    for name in whole:
        assert torch.equal(whole[name], cut[name]), name
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "cut")]
    assert lines[0] == lines[1]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_two_processes_train_as_one(optimizer: str, tmp_path: Path) -> None:
    train(tmp_path / "one", make_config(4, optimizer))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["tests.omni.training.sharded_run", str(tmp_path / "two"), optimizer]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = weights_of(tmp_path / "one"), weights_of(tmp_path / "two")
    assert one.keys() == two.keys()
    torch.manual_seed(0)
    start = OmniForConversation(make_tiny()).state_dict()
    for name in one:
        # Muon's iteration runs in bfloat16, so that rounding of a gradient shows; half of the rows alone would be far off
        moved = (one[name] - start[name.removeprefix("omni.")]).norm()
        assert (one[name] - two[name]).norm() <= {"muon": 0.05, "adamw": 1e-3}[optimizer] * moved, name


def test_a_mix_that_is_none_is_refused_before_a_run_is_made(tmp_path: Path) -> None:
    assert train_command.read_mix("all") == DEFAULT_MIX
    assert train_command.read_mix("live_typed=0.5, mumbled -> text=2") == {"live_typed": 0.5, "mumbled -> text": 2.0}
    (tmp_path / "data" / "user").mkdir(parents=True)
    (tmp_path / "data" / "user" / "part-0000.jsonl").write_text("{}\n")
    for mix, said in (
        ("mumbled -> dance=1", "mix names mumbled -> dance; groups: reading"),
        ("live", "mix is 'live'; write"),
    ):
        with pytest.raises(ConfigError, match=said):
            train_command.train(data=tmp_path / "data", run=tmp_path / "run", mix=mix)
    assert not (tmp_path / "run").exists()


def test_an_unknown_preset_or_optimizer_is_named() -> None:
    with pytest.raises(ConfigError, match="preset is 'huge'; there are nano, small, tiny"):
        OmniTrainConfig(preset="huge")
    with pytest.raises(ConfigError, match="muon or adamw"):
        OmniTrainConfig(optimizer="sgd")


WRITERS = ("scribe.", "second_pass.")
"""Who writes down what is heard has no part in the trunk's losses."""


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_every_parameter_has_one_rate_and_the_senses_the_slow_one(optimizer: str) -> None:
    config = OmniTrainConfig(preset="tiny", optimizer=optimizer, rate=1e-2, table_rate=2e-2, sense_rate=3e-4)  # type: ignore[arg-type]
    model = OmniForConversation(make_tiny())
    rates = {
        id(parameter): group["lr"]
        for found in make_optimizers(model, config).values()
        for group in found.param_groups
        for parameter in group["params"]
    }
    learned = [(name, parameter) for name, parameter in model.named_parameters() if not name.startswith(WRITERS)]
    assert rates.keys() == {id(parameter) for _, parameter in learned}
    assert not any(part.requires_grad for part in (*model.scribe.parameters(), *model.second_pass.parameters()))
    slow = {name.split(".")[0] for name, parameter in learned if rates[id(parameter)] == 3e-4}
    assert slow == {"stem", "eye"}
    assert all(rates[id(parameter)] == 3e-4 for parameter in (*model.stem.parameters(), *model.eye.parameters()))


def test_senses_at_rate_0_are_left_as_they_are() -> None:
    model = OmniForConversation(make_tiny())
    optimizers = make_optimizers(model, OmniTrainConfig(preset="tiny", sense_rate=0.0))
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    compute_losses(model, collate([make_row(model.config, 4)]), LossWeights())[0].backward()
    for optimizer in optimizers.values():
        optimizer.step()
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == {name for name in before if not name.startswith(("stem.", "eye.", *WRITERS))}


def test_real_recordings_and_conversations_are_learned_like_the_small_world(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tone = Audio(0.1 * np.sin(np.arange(16_000) / 9).astype(np.float32), 16_000)
    (tmp_path / "mine").mkdir()
    write_audio(tmp_path / "mine" / "a.wav", tone)
    (tmp_path / "mine" / "a.txt").write_text("one two three")
    line = {"messages": [to_openai(user("what is up?")), to_openai(assistant("the sky."))]}
    (tmp_path / "chat.jsonl").write_text(json.dumps(line) + "\n")
    # what the ear learns from is found beside the small world's renderings, and asked for by nothing else
    import_recordings(tmp_path / "mine", out=tmp_path / "data" / "user-mine")

    def run(name: str, **more) -> dict[str, torch.Tensor]:
        train_command.train(
            preset="tiny",
            data=tmp_path / "data",
            codec=tmp_path,
            images=tmp_path,
            run=tmp_path / name,
            steps=2,
            rows=2,
            mix="text -> text=1",
            workers=0,
            **more,
        )
        return weights_of(tmp_path / name)

    real = {"real": (tmp_path / "mine", tmp_path / "chat.jsonl"), "real_share": 1.0}
    first, again, without = run("a", **real), run("b", **real), run("c")
    assert "can't be learned from" not in caplog.text
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], without[name]) for name in first)
    config = json.loads((tmp_path / "a" / "config.json").read_text())["config"]
    assert (config["real"], config["real_share"]) == (RealData(real["real"]).digest, 1.0)
    with pytest.raises(ConfigError, match=r"real_share is 1\.5"):
        run("d", **{**real, "real_share": 1.5})
    assert not (tmp_path / "d").exists()
