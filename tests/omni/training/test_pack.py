"""Packing: a checkpoint can be given another language model or second pass, and nothing else of it changes."""

from pathlib import Path

import pytest
import torch

from tests.omni.engine.models import make_checkpoint
from vivavoce.cli import main
from vivavoce.omni.checkpoint import load_checkpoint, save_checkpoint


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    whole = make_checkpoint()
    whole.model.config.speak_bias = 0.5
    save_checkpoint(
        tmp_path / "shipped", whole.model, whole.vocabulary, codec=whole.codec, images=whole.images, card=""
    )
    return tmp_path / "shipped"


def test_a_checkpoint_is_given_a_language_model_and_stays_the_same_but_for_that(shipped: Path, tmp_path: Path) -> None:
    run, out, data = str(tmp_path / "run"), tmp_path / "out", str(tmp_path / "nothing")
    taught = ["--start-from", str(shipped), "--preset", "tiny", "--steps", "3", "--texts", "4", "--threads", "1"]
    assert main(["train", "language", "--data", data, "--run", run, *taught]) == 0
    tokenizers = ["--codec", str(shipped), "--images", str(shipped)]
    assert main(["train", "pack", "--run", str(shipped), "--language", run, "--out", str(out), *tokenizers]) == 0
    before, after = load_checkpoint(shipped), load_checkpoint(out)
    assert after.model.config.speak_bias == 0.5
    assert after.codec is not None
    assert after.images is not None
    weights = after.model.state_dict()
    changed = {name for name, tensor in before.model.state_dict().items() if not torch.equal(tensor, weights[name])}
    assert changed
    assert all(name.startswith(("scribe.rows.", "scribe.memory.", "scribe.bias")) for name in changed)
