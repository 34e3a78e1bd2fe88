"""A look at held-out rows while the trunk trains: losses, and how often the likeliest guess is right.

Teacher-forced, so it is quick and says how training goes; what the model can do is measured by `viva eval`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch

from vivavoce.data.example import Example
from vivavoce.errors import DataError
from vivavoce.omni.losses import LossWeights, compute_losses
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.step_batch import StepBatch, collate
from vivavoce.omni.steps import STAY, Steps
from vivavoce.omni.training.rows import RowMaker

_BATCH_ROWS = 16


def make_held_out(rows: RowMaker, examples: Iterator[Example], num_rows: int, *, seed: int = 0) -> list[StepBatch]:
    """Batches of the first `num_rows` examples that can be laid out."""
    generator = np.random.default_rng(seed)
    made: list[Steps] = list(islice(_rows_of(rows, examples, generator), num_rows))
    made.sort(key=len)
    return [collate(made[start : start + _BATCH_ROWS]) for start in range(0, len(made), _BATCH_ROWS)]


def _rows_of(rows: RowMaker, examples: Iterator[Example], generator: np.random.Generator) -> Iterator[Steps]:
    for example in examples:
        try:
            yield rows.make(example, generator)
        except (DataError, KeyError):
            continue


@torch.no_grad()
def measure_held_out(model: OmniForConversation, batches: list[StepBatch]) -> dict[str, float]:
    """Mean losses (nats) and shares of right guesses, by stream. Streams that do not occur are left out."""
    was_training = model.training
    device = next(model.parameters()).device
    model.eval()
    sums: dict[str, list[float]] = {}
    for batch in (one.to(device) for one in batches):
        for name, value in compute_losses(model, batch, LossWeights())[1].items():
            sums.setdefault(f"test/{name}_nats", []).append(float(value))
        for name, hits in _hits(model, batch).items():
            sums.setdefault(f"test/{name}_right", []).extend(hits)
    model.train(was_training)
    return {name: float(np.mean(values)) for name, values in sums.items() if values}


def _hits(model: OmniForConversation, batch: StepBatch) -> dict[str, list[float]]:
    """1 or 0 for each thing to be guessed: words and image codes on token steps, words said, turns, codes."""
    hidden = model.hear_trunk(model.embed(batch), batch.rows)
    guesses = model.lm_head(hidden[batch.target_places]).argmax(-1)
    is_image = batch.targets >= model.config.num_text_ids
    right = (guesses == batch.targets).float()
    said = hidden[batch.said_places]
    words, turns = model.text_logits(said).argmax(-1), model.turn_logits(hidden[batch.clock_places]).argmax(-1)
    text, turn, voiced = batch.text, batch.turn, batch.voiced_places
    hits = {
        "word": right[~is_image & (batch.target_weights > 0.5)],
        "image_code": right[is_image],
        "said": (words == text)[text > 0].float(),
        "turn_event": (turns == turn)[turn != STAY].float(),
        "turn_stay": (turns == turn)[turn == STAY].float(),
    }
    if len(voiced):
        codes = batch.codes[voiced]
        guessed = model.code_logits(said[voiced], text[voiced], codes).argmax(-1)
        hits["code"] = (guessed == codes).float().flatten()
    return {name: values.tolist() for name, values in hits.items()}
