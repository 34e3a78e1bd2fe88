"""Teaching the scribe's language model alone: what people say, as far as texts tell, whether or not anybody recorded it.

With the ear it learns from recordings' transcripts, which hold few of the wordings that questions have, and it then takes any other
for what it has read a thousand times ("the opposite word for" for "the opposite of"). Texts cost nothing. Nothing that the trunk hears changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from vivavoce.data.items import Item, choose
from vivavoce.data.live import list_live_texts
from vivavoce.data.pools import TASKS, list_items
from vivavoce.data.retyping import type_question
from vivavoce.errors import ConfigError
from vivavoce.omni.configuration import PRESETS
from vivavoce.omni.scribe import Scribe, expectation_loss
from vivavoce.omni.training.batches import load_batches
from vivavoce.omni.training.ear import make_optimizers, update_all
from vivavoce.omni.training.loop import Loop, LoopConfig, WriteSample, step_generator
from vivavoce.omni.vocabulary import Vocabulary
from vivavoce.run import Run

_SHARES = {"recorded": 0.3, "asked": 0.25, "typed": 0.2, "dictated": 0.22, "live": 0.03}
"""Of texts, by where they are from. measured: with 0.1 of sentences and 0.35 of typed wordings it forgot sentences (experiments/LOG.md)."""
_HELD_OUT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageTrainConfig:
    """Everything that decides what the trained language model is."""

    preset: str = "nano"
    """nano, small or tiny"""
    start_from: str = ""
    """digest of the weights that start it"""
    data: str = ""
    """digest of the recordings whose transcripts it reads besides"""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=4000, warmup_steps=100, decay_share=0.6))
    texts: int = 96
    """texts of one optimiser step"""
    rate: float = 2e-3
    """peak learning rate"""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"preset is {self.preset!r}; there are {', '.join(PRESETS)}")
        if self.texts < 1:
            raise ConfigError(f"texts is {self.texts}; need at least 1")


class LanguageModelling(nn.Module):
    """Of a scribe, what knows how likely words are to follow one another; what hears is no part of it."""

    def __init__(self, scribe: Scribe) -> None:
        super().__init__()
        self.rows, self.memory, self.bias = scribe.rows, scribe.memory, scribe.bias


class Texts(Dataset[list[list[int]]]):
    """`self[step]` is that step's texts, as rows of `vocabulary`: what was recorded, what training's questions ask, in their own wordings
    and in all those that are typed, what is dictated, and what is said in live talk."""

    def __init__(self, recorded: Sequence[str], vocabulary: Vocabulary, size: int, *, seed: int) -> None:
        self.recorded, self.vocabulary, self.size, self.seed = list(recorded), vocabulary, size, seed
        shares = {name: share for name, share in _SHARES.items() if recorded or name != "recorded"}
        self._sources, total = list(shares), sum(shares.values())
        self._shares = [share / total for share in shares.values()]

    def __getitem__(self, step: int) -> list[list[int]]:
        """The texts of one step."""
        generator = np.random.default_rng(step_generator(self.seed, step, "language").initial_seed())
        sources = generator.choice(self._sources, self.size, p=self._shares)
        return [self.vocabulary.encode(self._draw(str(source), generator)) for source in sources]

    def _draw(self, source: str, generator: np.random.Generator) -> str:
        if source == "recorded":
            return choose(generator, self.recorded)
        if source == "live":
            return choose(generator, _list_live())
        if source == "dictated":
            return choose(generator, list_items("write_down", "train")).say
        item = _draw_question(generator)
        if source == "asked":
            return item.ask
        # with the mark that it has when it is spoken
        return type_question(item, "train", generator).rstrip(".?") + item.ask[-1]


@lru_cache
def _list_live() -> list[str]:
    return list_live_texts("train")


@lru_cache
def _list_questions() -> tuple[tuple[tuple[Item, ...], ...], tuple[float, ...]]:
    """The questions of each task, and how often a task is drawn: as the root of how many it has."""
    asked = [tuple(item for item in list_items(task, "train") if item.ask) for task in TASKS]
    found = tuple(items for items in asked if items)
    roots = np.sqrt([len({item.ask for item in items}) for items in found])
    return found, tuple((roots / roots.sum()).tolist())


def _draw_question(generator: np.random.Generator) -> Item:
    tasks, shares = _list_questions()
    return choose(generator, tasks[int(generator.choice(len(tasks), p=shares))])


def list_held_out(vocabulary: Vocabulary, seed: int = 0) -> list[list[int]]:
    """Questions of the test split that training never asks, at most 400, as rows of `vocabulary`."""
    # of a picture the same may be asked in both
    known, asked = ({item.ask for task in TASKS for item in list_items(task, split)} for split in ("train", "test"))
    texts = sorted(asked - known - {""})
    chosen = np.random.default_rng(seed).permutation(len(texts))[:_HELD_OUT]
    return [vocabulary.encode(texts[idx]) for idx in chosen]


def train_language(
    scribe: Scribe, run: Run, config: LanguageTrainConfig, texts: Texts, *, write_sample: WriteSample | None = None
) -> None:
    """Train the language model of `scribe` in place until `config.loop.steps`; resumes from the run's newest state."""
    learned = LanguageModelling(scribe)
    optimizers = make_optimizers(list(learned.named_parameters()), config.rate, matrices_in="memory.")
    loop = Loop(run, config.loop, {"language": learned}, optimizers)
    stream = load_batches(texts, range(loop.step, config.loop.steps), num_workers=0)

    def take_step(step: int) -> Mapping[str, float | Tensor]:
        loss = expectation_loss(scribe, next(stream))
        norm = update_all(optimizers, loss, list(learned.parameters()), world=1)
        return {"loss/expected_nats": loss.detach(), "train/gradient_norm": norm}

    loop.train(take_step, write_sample)


@torch.no_grad()
def measure_language(scribe: Scribe, transcripts: list[list[int]]) -> float:
    """Mean of -log p over all words of all transcripts, nats."""
    return float(expectation_loss(scribe, transcripts))
