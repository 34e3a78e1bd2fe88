"""The shared training loop."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from vivavoce.errors import CheckpointError, ConfigError
from vivavoce.omni.training.loop import Loop, LoopConfig, load_weights, newest_state, step_generator, update
from vivavoce.run import Run


def _start(path: Path, config: LoopConfig, *, resume: bool = False) -> tuple[Loop, nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    run = Run.open(path, config, resume=resume)
    return Loop(run, config, {"net": net}, {"main": optimizer}), net, optimizer


def _step(config: LoopConfig, net: nn.Module, optimizer: torch.optim.Optimizer, stop_at: int | None = None):
    def take(step: int) -> dict[str, torch.Tensor]:
        if step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(16, 4, generator=step_generator(config.seed, step))
        loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
        update(optimizer, loss)
        return {"loss": loss.detach()}

    return take


def test_a_killed_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    config = LoopConfig(steps=30, warmup_steps=3, save_every_steps=7, log_every_steps=5, seed=3)
    whole, net, optimizer = _start(tmp_path / "whole", config)
    whole.train(_step(config, net, optimizer))

    cut, net_cut, optimizer_cut = _start(tmp_path / "cut", config)
    with pytest.raises(KeyboardInterrupt):
        cut.train(_step(config, net_cut, optimizer_cut, stop_at=19))
    again, net_again, optimizer_again = _start(tmp_path / "cut", config, resume=True)
    assert again.step == 14
    again.train(_step(config, net_again, optimizer_again))

    for left, right in zip(net.parameters(), net_again.parameters()):
        assert torch.equal(left, right)
    losses = [
        [record["step"] for record in Run.open(tmp_path / name, config, resume=True).read_metrics()]
        for name in ("whole", "cut")
    ]
    assert losses[0] == losses[1]


def test_the_rate_warms_up_stays_flat_and_falls_to_its_final_share() -> None:
    config = LoopConfig(steps=100, warmup_steps=10, decay_share=0.5, final_share=0.0)
    assert config.rate_share(0) == pytest.approx(0.1)
    assert config.rate_share(9) == config.rate_share(50) == 1.0
    assert config.rate_share(75) == pytest.approx(0.5)
    assert config.rate_share(99) == pytest.approx(0.02)


def test_a_step_count_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        LoopConfig(steps=0)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    config = LoopConfig(steps=5, log_every_steps=1)
    loop, _, _ = _start(tmp_path, config)
    with pytest.raises(CheckpointError, match="loss not finite"):
        loop.train(lambda step: {"loss": float("nan") if step == 2 else 1.0})


def test_weights_of_another_shape_are_refused_by_name(tmp_path: Path) -> None:
    config = LoopConfig(steps=1)
    loop, net, optimizer = _start(tmp_path, config)
    loop.train(_step(config, net, optimizer))
    state = newest_state(tmp_path)
    assert state is not None
    other = nn.Sequential(nn.Linear(4, 9), nn.Dropout(0.5), nn.Linear(9, 1))
    with pytest.raises(CheckpointError, match=r"net\.0\.weight is \[8, 4\], need \[9, 4\]"):
        load_weights(state / "weights.safetensors", {"net": other})


def test_only_the_newest_two_states_are_kept_and_samples_are_written(tmp_path: Path) -> None:
    config = LoopConfig(steps=6, save_every_steps=1, log_every_steps=2, sample_every_steps=4)
    loop, net, optimizer = _start(tmp_path, config)
    loop.train(
        _step(config, net, optimizer),
        lambda step, folder: (folder / f"{step}.json").write_text(json.dumps(step)) and None,
    )
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["00000005", "00000006"]
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["4.json", "6.json"]
