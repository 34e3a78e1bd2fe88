"""The eye alone: batches by step alone, resumed equals uninterrupted, and it learns to name what it is shown."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.omni.training.broken import BrokenAt
from vivavoce.content import Image
from vivavoce.errors import ConfigError
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.training.eye import Captioned, EyeTrainConfig, Namer, measure_eye, train_eye
from vivavoce.omni.training.loop import LoopConfig
from vivavoce.omni.training.places import load_namer
from vivavoce.omni.vocabulary import Vocabulary, train_vocabulary
from vivavoce.run import Run

COLOURS = {"red": (200, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 200)}


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return train_vocabulary([" red", " green", " blue"] * 30, num_text_ids=320, num_image_codes=20)


def draw(generator: np.random.Generator) -> tuple[Image, str]:
    """A block of one colour anywhere on grey."""
    name = list(COLOURS)[int(generator.integers(3))]
    pixels = np.full((64, 64, 3), 120, np.uint8)
    top, left = generator.integers(0, 44, 2)
    pixels[top : top + 20, left : left + 20] = COLOURS[name]
    return Image(pixels), name


def train(folder: Path, words: Vocabulary, steps: int, *, resume: bool = False, stop: int = 0, table=None) -> Namer:
    loop = LoopConfig(steps=steps, warmup_steps=2, save_every_steps=2, sample_every_steps=0)
    config = EyeTrainConfig(preset="tiny", loop=loop, pictures=8, rate=3e-3, is_bf16=False)
    torch.manual_seed(0)
    namer = Namer(make_tiny())
    if table is not None:
        namer.speak_as(table)

    batches = Captioned(draw, words, 8, seed=0)
    train_eye(
        namer,
        Run.open(folder, config, resume=resume),
        config,
        BrokenAt(batches, stop) if stop else batches,
        num_workers=0,
    )
    return namer


def test_batches_depend_on_seed_and_step_alone(vocabulary: Vocabulary) -> None:
    one, other = (Captioned(draw, vocabulary, 4, seed=0) for _ in range(2))
    one[0]
    for a, b in zip(one[5], other[5]):
        assert torch.equal(a, b)
    assert not torch.equal(one[5].pixels, one[6].pixels)
    assert (one[5].words.sum(1) >= 1).all()


def test_resumed_equals_uninterrupted(vocabulary: Vocabulary, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", vocabulary, 6)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "cut", vocabulary, 6, stop=4)
    resumed = train(tmp_path / "cut", vocabulary, 6, resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    loaded = load_namer(tmp_path / "whole", make_tiny())
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name


def test_it_learns_to_name_what_it_never_saw_there(vocabulary: Vocabulary, tmp_path: Path) -> None:
    namer = train(tmp_path, vocabulary, 300)
    unseen = Captioned(draw, vocabulary, 100, seed=1)[0]
    assert measure_eye(namer, unseen)["all_right"] > 0.95
    assert measure_eye(Namer(make_tiny()), unseen)["all_right"] == 0.0


def test_in_a_trunks_words_its_vectors_stay_and_the_cells_turn_to_them(vocabulary: Vocabulary, tmp_path: Path) -> None:
    table = torch.randn(400, 32, generator=torch.Generator().manual_seed(0))
    namer = train(tmp_path, vocabulary, 300, table=table)
    assert torch.equal(namer.words.weight, torch.nn.functional.normalize(table[:320], dim=1))
    assert measure_eye(namer, Captioned(draw, vocabulary, 100, seed=1)[0])["all_right"] > 0.95


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="preset is 'huge'"):
        EyeTrainConfig(preset="huge")
    with pytest.raises(ConfigError, match="pictures is 0"):
        EyeTrainConfig(pictures=0)
