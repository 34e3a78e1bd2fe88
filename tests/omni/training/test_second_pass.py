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
    alone_share: float = 0.0,
) -> Listener:
    stem = make_stem()
    loop = LoopConfig(steps=steps, warmup_steps=2, save_every_steps=2, sample_every_steps=0)
    config = SecondPassTrainConfig(
        preset="tiny",
        loop=loop,
        utterances=2,
        rate=rate,
        is_bf16=False,
        stem=digest_weights(stem),
        alone_share=alone_share,
    )
    torch.manual_seed(0)
    listener = Listener(make_tiny(), stem, alone_share=alone_share)
    batches = Utterances([Shards(shards)], tokens, 2, seed=0, quiet=QUIET)
    train_second_pass(
        listener,
        Run.open(folder, config, resume=resume),
        config,
        BrokenAt(batches, stop) if stop else batches,
        num_workers=0,
    )
    return listener


@pytest.mark.parametrize("alone_share", [0.0, 0.5])
def test_resumed_equals_uninterrupted_and_the_stem_stays(
    mels: Path,  # noqa: F811
    vocabulary: Vocabulary,  # noqa: F811
    tmp_path: Path,
    alone_share: float,
) -> None:
    whole = train(tmp_path / "whole", mels, vocabulary, 6, alone_share=alone_share)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "cut", mels, vocabulary, 6, stop=4, alone_share=alone_share)
    resumed = train(tmp_path / "cut", mels, vocabulary, 6, resume=True, alone_share=alone_share)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert not any("stem" in name for name in whole.state_dict())
    assert digest_weights(whole._stem[0]) == digest_weights(make_stem())


def test_alone_it_has_the_mel_and_nothing_of_the_stem(
    mels: Path,  # noqa: F811
    vocabulary: Vocabulary,  # noqa: F811
) -> None:
    (batch,) = Utterances([Shards(mels)], vocabulary, 6, seed=0, quiet=QUIET).take_clean(6)
    said = []
    for stem_seed in (0, 1):
        stem = make_stem(stem_seed)
        torch.manual_seed(0)
        said.append(Listener(make_tiny(), stem, alone_share=1.0)(batch).said)
        torch.manual_seed(0)
        said.append(Listener(make_tiny(), stem, alone_share=1.0).eval()(batch).said)
    assert torch.equal(said[0], said[2])
    assert not torch.allclose(said[1], said[3])


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
