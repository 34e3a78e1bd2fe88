"""A stem fitted to say what another said: exact where it can be, and the share that it explains where it can't."""

import copy

import pytest
import torch

from vivavoce.errors import ConfigError, DataError
from vivavoce.omni.stem import Stem
from vivavoce.omni.training.ear import EarBatch
from vivavoce.omni.training.graft import graft
from vivavoce.omni.training.omni import OmniTrainConfig


def make_stem(seed: int) -> Stem:
    torch.manual_seed(seed)
    return Stem((16, 20, 24), (1, 1, 1), 32)


def make_batches(count: int = 4) -> list[EarBatch]:
    generator = torch.Generator().manual_seed(5)
    none = torch.zeros(0, dtype=torch.long)
    lengths = torch.tensor([20, 40, 31])
    return [
        EarBatch(torch.randn(3, 320, 80, generator=generator), lengths, none, none, none, none) for _ in range(count)
    ]


@torch.no_grad()
def test_a_stem_that_differs_in_its_last_layer_alone_says_the_same_again() -> None:
    known = make_stem(0)
    other = copy.deepcopy(known)
    torch.nn.init.normal_(other.out.weight)
    torch.nn.init.normal_(other.norm.weight)
    mel = torch.randn(2, 80, 80)
    assert not torch.allclose(other(mel), known(mel), atol=0.1)
    explained = graft(other, known, make_batches())
    assert explained == pytest.approx(1.0, abs=1e-3)
    # the ridge holds the fit back a little
    assert (other(mel) - known(mel)).square().mean() < 1e-3


@torch.no_grad()
def test_what_is_explained_of_another_stem_is_one_less_what_is_left() -> None:
    known, other = make_stem(0), make_stem(1)
    features = copy.deepcopy(other)
    batches = make_batches()
    explained = graft(other, known, batches)
    wanted, said = [], []
    for batch in batches:
        for mel, length in zip(batch.mel, batch.lengths):
            wanted.append(known.out(known.hear_features(mel[None]))[0, :length])
            said.append(other.out(features.hear_features(mel[None]))[0, :length])
    left = (torch.cat(wanted) - torch.cat(said)).square().sum() / (
        torch.cat(wanted) - torch.cat(wanted).mean(0)
    ).square().sum()
    assert explained == pytest.approx(1 - float(left), abs=1e-3)
    assert 0.05 < explained < 0.999


def test_nothing_to_fit_to_is_refused() -> None:
    with pytest.raises(DataError, match="0 clock steps of recordings"):
        graft(make_stem(0), make_stem(1), [])


def test_a_fitted_stem_needs_both_to_fit() -> None:
    with pytest.raises(ConfigError, match="give --ear and --start-from"):
        OmniTrainConfig(stem="fitted", ear="digest")
    with pytest.raises(ConfigError, match="there are ear, fitted, kept"):
        OmniTrainConfig(stem="old")
