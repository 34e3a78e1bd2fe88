"""Where there is a GPU: it computes what the CPU does, and trains. `pytest -m gpu`."""

from pathlib import Path

import pytest
import torch

from tests.omni.rows import make_row
from tests.omni.training.sharded_run import RandomBatches, make_config
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.losses import LossWeights, compute_losses
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.step_batch import collate
from vivavoce.omni.training.omni import train_omni
from vivavoce.run import Run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_losses_and_gradients_equal_the_cpus() -> None:
    torch.manual_seed(0)
    here = OmniForConversation(make_tiny())
    there = OmniForConversation(make_tiny())
    there.load_state_dict(here.state_dict())
    torch.nn.Module.to(there, "cuda")
    batch = collate([make_row(here.config, seed, num_clock=6 + 5 * seed) for seed in range(3)])
    losses = [
        compute_losses(here, batch, LossWeights()),
        compute_losses(there, batch.pin_memory().to("cuda"), LossWeights()),
    ]
    for total, _ in losses:
        total.backward()
    for name, value in losses[0][1].items():
        torch.testing.assert_close(losses[1][1][name].cpu(), value, atol=1e-4, rtol=1e-4)
    for (name, left), right in zip(here.named_parameters(), there.parameters(), strict=True):
        close = torch.allclose(right.grad.cpu(), left.grad, atol=1e-4, rtol=1e-3)
        assert close, name


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_it_trains(optimizer: str, tmp_path: Path) -> None:
    for steps in (2, 4):
        torch.manual_seed(0)
        model = OmniForConversation(make_tiny())
        torch.nn.Module.to(model, "cuda")
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        config = make_config(steps, optimizer)
        run = Run.open(tmp_path / str(steps), config, resume=True)
        train_omni(model, run, config, RandomBatches(), num_workers=0)  # type: ignore[arg-type]
        assert any(not torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
        assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
