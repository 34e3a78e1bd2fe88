"""The loop that every trainer shares: learning rate, resume, log, progress and samples.

It knows nothing of losses: a trainer gives it named modules, named optimisers and a function that takes one step. All
randomness of step n comes from (seed, n): the loop seeds torch's generator before each step, and a trainer draws its
batch with `step_generator`. So a run that was killed and resumed gives the same weights, bit for bit, on CPU.

State on disk, under `<run>/state/<step>`: weights.safetensors, optimizers.safetensors, state.json. No pickle.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from vivavoce.errors import CheckpointError, ConfigError
from vivavoce.files import digest_json
from vivavoce.run import Run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopConfig:
    """How long to train, how fast, and how often to save, log and show."""

    steps: int
    """Optimiser steps in all."""
    warmup_steps: int = 100
    """The learning rate rises linearly over these."""
    decay_share: float = 0.5
    """The last part of all steps, over which the learning rate falls linearly to `final_share`; before it, it is flat."""
    final_share: float = 0.02
    """Learning rate at the end, as a share of the peak."""
    save_every_steps: int = 200
    """State is written this often, and at the end."""
    log_every_steps: int = 20
    """A record goes to metrics.jsonl this often: the mean of each metric since the one before."""
    sample_every_steps: int = 500
    """Samples are written this often, and at the end; 0 for never."""
    seed: int = 0
    """All randomness of the run comes from it."""

    def __post_init__(self) -> None:
        if self.steps < 1 or min(self.save_every_steps, self.log_every_steps) < 1:
            raise ConfigError(f"steps {self.steps}, saving and logging intervals must be at least 1")
        if not 0 <= self.decay_share <= 1:
            raise ConfigError(f"decay_share is {self.decay_share}; need 0 to 1")

    def rate_share(self, step: int) -> float:
        """Learning rate at `step` (0-based) as a share of the peak: warm-up, flat, linear decay."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        decay_steps = max(1.0, self.steps * self.decay_share)
        left = min(1.0, (self.steps - step) / decay_steps) if self.decay_share else 1.0
        return warm * (self.final_share + (1 - self.final_share) * left)


def step_generator(seed: int, step: int, purpose: str = "batch") -> torch.Generator:
    """A generator that depends on (seed, step, purpose) alone."""
    return torch.Generator().manual_seed(_mix(seed, step, purpose))


def _mix(*values: int | str) -> int:
    return int(digest_json(list(values))[:15], 16)


TakeStep = Callable[[int], Mapping[str, float | Tensor]]
WriteSample = Callable[[int, Path], None]


class Loop:
    """Trains `modules` with `optimizers` in a run directory; resumes from the newest whole state if there is one.

    Each optimiser's peak learning rate is the one it was made with. Only `is_main` processes write.
    """

    def __init__(
        self,
        run: Run,
        config: LoopConfig,
        modules: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        *,
        is_main: bool = True,
    ) -> None:
        self.run, self.config, self.is_main = run, config, is_main
        self.modules, self.optimizers = dict(modules), dict(optimizers)
        self._peaks = {name: [group["lr"] for group in opt.param_groups] for name, opt in self.optimizers.items()}
        self.step = 0
        if state := newest_state(run.path):
            self.step = load_state(state, self.modules, self.optimizers)
            if is_main:
                run.drop_metrics_after(self.step)

    def train(self, take_step: TakeStep, write_sample: WriteSample | None = None) -> None:
        """Take the steps that are left. `take_step(step)` does forward, backward and update, and returns metrics.

        Raises: CheckpointError if a metric is not finite; the last state that was saved is sound.
        """
        config, sums, started, first = self.config, dict[str, float | Tensor](), time.monotonic(), self.step
        while self.step < config.steps:
            self._set_rates(self.step)
            torch.manual_seed(_mix(config.seed, self.step, "global"))
            for name, value in take_step(self.step).items():
                # read when logged: reading a GPU's number waits for the GPU
                sums[name] = sums.get(name, 0.0) + (value.detach() if isinstance(value, Tensor) else value)
            self.step += 1
            is_last = self.step == config.steps
            if self.step % config.log_every_steps == 0 or is_last:
                self._log(sums, time.monotonic() - started, self.step - first)
                sums = {}
            if self.step % config.save_every_steps == 0 or is_last:
                self.save()
            is_sample_due = config.sample_every_steps and self.step % config.sample_every_steps == 0
            if write_sample and self.is_main and (is_sample_due or is_last):
                write_sample(self.step, self.run.path / "samples")

    def save(self) -> None:
        """Write the state now, and remove all but the newest two. Every process must call it; the main one writes."""
        packed = pack_state(self.modules, self.optimizers)
        if self.is_main:
            write_state(self.run.path / "state" / f"{self.step:08d}", self.step, packed)
            for old in sorted((self.run.path / "state").glob("[0-9]*"))[:-2]:
                shutil.rmtree(old)

    def _set_rates(self, step: int) -> None:
        share = self.config.rate_share(step)
        for name, optimizer in self.optimizers.items():
            for group, peak in zip(optimizer.param_groups, self._peaks[name]):
                group["lr"] = peak * share

    def _log(self, sums: Mapping[str, float | Tensor], elapsed_s: float, taken: int) -> None:
        count = (self.step - 1) % self.config.log_every_steps + 1
        means = {name: float(value) / count for name, value in sums.items()}
        if broken := [name for name, value in means.items() if not math.isfinite(value)]:
            raise CheckpointError(f"step {self.step}: {', '.join(broken)} not finite; resume from the state before")
        if not self.is_main:
            return
        left_s = elapsed_s / taken * (self.config.steps - self.step)
        self.run.log(step=self.step, **means)
        values = " ".join(f"{name} {value:.4g}" for name, value in means.items())
        line = f"step {self.step}/{self.config.steps} {values} | {taken / elapsed_s:.2f} steps/s, {_clock(left_s)} left"
        logger.info(line)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{line}" + ("\n" if self.step == self.config.steps else ""))


def update(optimizer: Optimizer, loss: Tensor, clip_norm: float = 1.0) -> Tensor:
    """Backward and one optimiser step with gradients clipped to `clip_norm`; returns the norm before clipping."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, clip_norm)
    optimizer.step()
    return norm


def newest_state(run_path: Path) -> Path | None:
    """The newest whole state folder of a run, if any."""
    found = sorted(path.parent for path in (run_path / "state").glob("[0-9]*/state.json"))
    return found[-1] if found else None


class PackedState(NamedTuple):
    """Whole tensors on the CPU, ready to be written."""

    weights: dict[str, Tensor]
    moments: dict[str, Tensor]
    scalars: dict[str, Any]


def pack_state(modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]) -> PackedState:
    """Gather modules and optimisers; sharded tensors are made whole, so every process must call it."""
    moments, scalars = dict[str, Tensor](), dict[str, Any]()
    for name, optimizer in optimizers.items():
        _pack_optimizer(name, optimizer, moments, scalars)
    return PackedState(_weights(modules), moments, scalars)


def write_state(folder: Path, step: int, packed: PackedState) -> None:
    """Write one state folder; it appears under its name only when whole."""
    temporary = folder.with_name(f"tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(packed.weights, temporary / "weights.safetensors")
    save_file(packed.moments, temporary / "optimizers.safetensors")
    (temporary / "state.json").write_text(json.dumps({"step": step, "optimizers": packed.scalars}))
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def load_state(folder: Path, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]) -> int:
    """Load a state folder into modules and optimisers; returns its step.

    Raises: CheckpointError if names or shapes differ, naming them.
    """
    state = json.loads((folder / "state.json").read_text())
    load_weights(folder / "weights.safetensors", modules)
    tensors = load_file(folder / "optimizers.safetensors")
    for name, optimizer in optimizers.items():
        if name not in state["optimizers"]:
            raise CheckpointError(f"{folder} has no optimiser {name}; it has {sorted(state['optimizers'])}")
        _unpack_optimizer(name, optimizer, tensors, state["optimizers"][name])
    return int(state["step"])


def load_weights(path: Path, modules: Mapping[str, nn.Module]) -> None:
    """Load `name.parameter` tensors of a safetensors file into the named modules, strictly.

    Raises: CheckpointError if the file's names or shapes are not the modules', naming them.
    """
    found, wanted = load_file(path), _weights(modules)
    problems = [f"{name} missing" for name in wanted if name not in found]
    problems += [f"{name} unknown" for name in found if name not in wanted]
    problems += [
        f"{name} is {list(found[name].shape)}, need {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name].shape != tensor.shape
    ]
    if problems:
        raise CheckpointError(f"{path} does not fit: {'; '.join(problems[:5])} ({len(problems)} in all)")
    for name, module in modules.items():
        own = module.state_dict()
        module.load_state_dict({key: _spread(found[f"{name}.{key}"], own[key]) for key in own})


def _weights(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": _whole(tensor)
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }


def _whole(tensor: Tensor) -> Tensor:
    """A copy on the CPU; of a sharded tensor, gathered from all processes."""
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().cpu().contiguous().clone()


def _spread(tensor: Tensor, like: Tensor) -> Tensor:
    """`tensor` sharded as `like` is, if it is."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


def _pack_optimizer(name: str, optimizer: Optimizer, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    scalars: dict[str, dict[str, Any]] = {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{name}.{index}.{key}"] = _whole(value)
            else:
                scalars.setdefault(str(index), {})[key] = value
    plain[name] = scalars


def _unpack_optimizer(
    name: str, optimizer: Optimizer, tensors: Mapping[str, Tensor], scalars: Mapping[str, Mapping[str, Any]]
) -> None:
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in scalars.items()}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for key, tensor in tensors.items():
        owner, index, item = key.rsplit(".", 2)
        if owner == name:
            state.setdefault(int(index), {})[item] = _spread(tensor, parameters[int(index)])
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def count_parameters(modules: Iterable[nn.Module]) -> int:
    """Parameters of all modules together."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
