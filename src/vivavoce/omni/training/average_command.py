"""`viva train average`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
import tyro
from safetensors.torch import load_file

from vivavoce.errors import CheckpointError, ConfigError
from vivavoce.files import digest_file
from vivavoce.omni.training.loop import PackedState, write_state
from vivavoce.omni.training.places import find_weights
from vivavoce.omni.vocabulary import VOCABULARY_FILES
from vivavoce.run import Run


def average(runs: tyro.conf.Positional[tuple[Path, ...]], *, run: Path) -> None:
    """The mean of the weights of several runs of one kind, as a run that others start from: `--ear RUN`, `--start-from RUN`.

    Where each run went on from the one before and ended with a low rate, their mean often does better on what is new than the
    last of them (stochastic weight averaging, Izmailov et al. 2018, section 3.1).

    Args:
        runs: run directories; the tokenizer is the last one's.
        run: run directory to write.
    """
    if len(runs) < 2:
        raise ConfigError(f"{len(runs)} run named; name two or more to take the mean of")
    places = [find_weights(one) for one in runs]
    weights = load_file(places[0])
    sums = {name: tensor.double() for name, tensor in weights.items()}
    for place in places[1:]:
        found = load_file(place)
        names = sorted(sums.keys() | found.keys())
        if wrong := [name for name in names if _shape(sums.get(name)) != _shape(found.get(name))]:
            few = ", ".join(wrong[:3])
            raise CheckpointError(
                f"{place} and {places[0]} differ in {few} ({len(wrong)} in all); name runs of one kind"
            )
        for name, tensor in found.items():
            sums[name] += tensor.double()
    means = {name: (total / len(places)).to(weights[name].dtype) for name, total in sums.items()}
    opened = Run.open(run, {**_find_preset(runs[-1]), "mean_of": [digest_file(place) for place in places]})
    for name in VOCABULARY_FILES:
        if (runs[-1] / name).exists():
            shutil.copyfile(runs[-1] / name, run / name)
    write_state(run / "state" / f"{len(places):08d}", len(places), PackedState(means, {}, {}))
    opened.finish(steps=0)
    print(
        f"{run}: the mean of {len(places)} runs, {sum(tensor.numel() for tensor in means.values()) / 1e6:.1f} M numbers"
    )


def _find_preset(run: Path) -> dict[str, str]:
    """The size of the network, which `viva train pack` asks of a run."""
    path = run / "config.json"
    config = json.loads(path.read_text()).get("config", {}) if path.exists() else {}
    return {"preset": config["preset"]} if "preset" in config else {}


def _shape(tensor: torch.Tensor | None) -> torch.Size | None:
    return None if tensor is None else tensor.shape
