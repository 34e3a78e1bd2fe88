"""A stem put under a trunk that reads of it what it read of another: exact where it can be, and the share explained where it can't."""

import copy

import pytest
import torch

from vivavoce.errors import ConfigError, DataError
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.stem import Stem
from vivavoce.omni.training.ear import EarBatch
from vivavoce.omni.training.graft import graft
from vivavoce.omni.training.omni import OmniTrainConfig


def make_model(seed: int) -> OmniForConversation:
    """One whose features are not as small as they are before training."""
    torch.manual_seed(seed)
    model = OmniForConversation(make_tiny())
    for layer in (model.sound_in, *(block.out for stage in model.stem.stages for block in stage.blocks)):
        torch.nn.init.normal_(layer.weight)
    return model


def make_stem(seed: int) -> Stem:
    return make_model(seed).stem


def make_batches(count: int = 4) -> list[EarBatch]:
    generator = torch.Generator().manual_seed(5)
    none = torch.zeros(0, dtype=torch.long)
    lengths = torch.tensor([20, 40, 31])
    return [
        EarBatch(torch.randn(3, 320, 80, generator=generator), lengths, none, none, none, none) for _ in range(count)
    ]


@torch.no_grad()
def test_a_stem_whose_features_are_moved_is_read_as_before() -> None:
    model = make_model(0)
    torch.manual_seed(1)
    other, mel = copy.deepcopy(model.stem), torch.randn(2, 80, 80)
    # what the last block adds is added to the features
    other.stages[-1].blocks[-1].out.bias.add_(torch.randn(24) * model.stem(mel).std((0, 1)))
    read = model.read_features(model.stem(mel))
    assert not torch.allclose(model.read_features(other(mel)), read, atol=0.1)
    explained = graft(model, other, make_batches())
    assert explained == pytest.approx(1.0, abs=1e-3)
    # the ridge holds the fit back a little
    assert (model.read_features(model.stem(mel)) - read).square().mean() < 2e-3


@torch.no_grad()
def test_what_is_explained_of_another_stem_is_one_less_what_is_left() -> None:
    model, other = make_model(0), make_stem(1)
    known = copy.deepcopy(model)
    batches = make_batches()
    explained = graft(model, other, batches)
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, model.stem.state_dict()[name]), name
    wanted, said = [], []
    for batch in batches:
        for mel, length in zip(batch.mel, batch.lengths):
            wanted.append(known.sound_in(known.stem(mel[None]))[0, :length])
            said.append(model.sound_in(other(mel[None]))[0, :length])
    left = (torch.cat(wanted) - torch.cat(said)).square().sum() / (
        torch.cat(wanted) - torch.cat(wanted).mean(0)
    ).square().sum()
    assert explained == pytest.approx(1 - float(left), abs=1e-3)
    assert 0.05 < explained < 0.999


def test_nothing_to_fit_to_is_refused() -> None:
    with pytest.raises(DataError, match="0 clock steps of recordings"):
        graft(make_model(0), make_stem(1), [])


def test_a_fitted_stem_needs_both_to_fit() -> None:
    with pytest.raises(ConfigError, match="give --ear and --start-from"):
        OmniTrainConfig(stem="fitted", ear="digest")
    with pytest.raises(ConfigError, match="there are ear, fitted, kept"):
        OmniTrainConfig(stem="old")
