"""Many devices, or many cores: one process each, started by `torchrun`.

With AdamW, FSDP2 shards weights, gradients and moments: every decoder layer is a unit; everything else (tables shared by
embedding and heads, ear, eyes) is the outermost unit. Muon's update needs whole matrices, so with it every process keeps all,
and gradients are averaged.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard

from vivavoce.omni.network import OmniForConversation


class Place(NamedTuple):
    """This process among all: its rank, how many there are, its device."""

    rank: int
    world: int
    device: torch.device


def find_device(local_rank: int = 0) -> torch.device:
    """The GPU of this process if there is one, else the CPU."""
    return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")


@contextmanager
def join_processes() -> Iterator[Place]:
    """The process group of `torchrun`, if it started us (NCCL on GPUs, gloo on CPUs); else one process."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    device = find_device(int(os.environ.get("LOCAL_RANK", "0")))
    has_gpu = device.type == "cuda"
    if has_gpu:
        torch.cuda.set_device(device)
    if world == 1:
        yield Place(0, 1, device)
        return
    distributed.init_process_group("nccl" if has_gpu else "gloo")
    try:
        yield Place(distributed.get_rank(), world, device)
        # gloo aborts whoever still listens when the first one leaves
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def shard(model: OmniForConversation, root: nn.Module) -> None:
    """Shard `model` in place; `root` holds it and is the module whose `forward` is called."""
    for layer in model.model.layers:
        fully_shard(layer)
    fully_shard(root)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Every process gets the mean of all processes' gradients; one that a process has no gradient for counts as zero."""
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in learned]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for parameter, mean in zip(learned, flat.split([gradient.numel() for gradient in gradients])):
        parameter.grad = mean.view_as(parameter)
