"""Teaching the second pass: resumed equals uninterrupted, the stem stays, and only what was taught over a stem is packed with it."""

import json
from pathlib import Path

import pytest
import torch

from tests.omni.training.broken import BrokenAt
from tests.omni.training.test_ear import mels, vocabulary  # noqa: F401 - fixtures
from vivavoce.data.voices.shards import Shards
from vivavoce.errors import ConfigError
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.stem import Stem
from vivavoce.omni.training.ear import Utterances
from vivavoce.omni.training.features import digest_weights
from vivavoce.omni.training.loop import LoopConfig
from vivavoce.omni.training.places import load_second_pass
from vivavoce.omni.training.second_pass import (
    QUIET,
    Listener,
    SecondPassTrainConfig,
    measure_second_pass,
    train_second_pass,
)
from vivavoce.omni.vocabulary import Vocabulary
from vivavoce.run import Run


def make_stem(seed: int = 0) -> Stem:
    torch.manual_seed(seed)
    config = make_tiny()
    return Stem(config.stem_widths, config.stem_blocks)


def train(
    folder: Path,
    shards: Path,
    tokens: Vocabulary,
    steps: int,
    *,
    resume: bool = False,
    stop: int = 0,
    rate: float = 5e-3,
) -> Listener:
    stem = make_stem()
    loop = LoopConfig(steps=steps, warmup_steps=2, save_every_steps=2, sample_every_steps=0)
    config = SecondPassTrainConfig(
        preset="tiny", loop=loop, utterances=2, rate=rate, is_bf16=False, stem=digest_weights(stem)
    )
    torch.manual_seed(0)
    listener = Listener(make_tiny(), stem)
    batches = Utterances([Shards(shards)], tokens, 2, seed=0, quiet=QUIET)
    train_second_pass(
        listener,
        Run.open(folder, config, resume=resume),
        config,
        BrokenAt(batches, stop) if stop else batches,
        num_workers=0,
    )
    return listener


def test_resumed_equals_uninterrupted_and_the_stem_stays(
    mels: Path,  # noqa: F811
    vocabulary: Vocabulary,  # noqa: F811
    tmp_path: Path,
) -> None:
    whole = train(tmp_path / "whole", mels, vocabulary, 6)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "cut", mels, vocabulary, 6, stop=4)
    resumed = train(tmp_path / "cut", mels, vocabulary, 6, resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert not any("stem" in name for name in whole.state_dict())
    assert digest_weights(whole._stem[0]) == digest_weights(make_stem())


def test_one_that_was_taught_over_another_stem_is_refused(
    mels: Path,  # noqa: F811
    vocabulary: Vocabulary,  # noqa: F811
    tmp_path: Path,
) -> None:
    taught = train(tmp_path, mels, vocabulary, 2).second_pass
    loaded = load_second_pass(tmp_path, make_tiny(), make_stem())
    for name, tensor in taught.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    with pytest.raises(ConfigError, match="over another stem"):
        load_second_pass(tmp_path, make_tiny(), make_stem(1))
    assert json.loads((tmp_path / "config.json").read_text())["config"]["stem"] == digest_weights(make_stem())


@pytest.mark.slow
def test_it_learns_its_recordings(
    mels: Path,  # noqa: F811
    vocabulary: Vocabulary,  # noqa: F811
    tmp_path: Path,
) -> None:
    listener = train(tmp_path, mels, vocabulary, 500, rate=1e-2)
    batches = Utterances([Shards(mels)], vocabulary, 2, seed=0)
    assert measure_second_pass(listener, batches.take_clean(2)) < 0.2
    new = Listener(make_tiny(), make_stem())
    assert measure_second_pass(new, batches.take_clean(2)) > 0.5
