"""When the model would take the turn, for every bias on `<speak>`, from one teacher-forced pass over each talk.

The user talks as in training, and the model's answer is put off for `PATIENCE_STEPS`: at every step until then the margin
logit(`<speak>`) - logit(stay) says from which bias on the turn would have been taken there. The first such step counts:
before the user's end it is a false start, after it the wait. The model reads the true transcript here; what it does with its own
`recipes/serve_foresight.py` shows, from which `OmniConfig.speak_bias` is chosen, and in real time `viva bench latency`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from vivavoce.content import Audio
from vivavoce.data.example import PRESET_VOICE, Example, OwnSpan, Sound, Speech, Timeline
from vivavoce.data.sounds import render_sound
from vivavoce.data.voices.rendering import Renderings
from vivavoce.omni.engine_protocol import FRAME_MS
from vivavoce.omni.mel import log_mel
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.step_batch import collate
from vivavoce.omni.steps import CLOCK, SPEAK, STAY
from vivavoce.omni.training.rows import Heard, RowMaker
from vivavoce.stats import estimate_proportion, estimate_quantile

PATIENCE_STEPS = 25
"""Two seconds after the user's end. chosen: by then people have given up."""
_BATCH_ROWS = 16
_TOKENS_A_STEP = 8


class RenderedSounds:
    """Satisfies `rows.Sounds` from renderings; the model's own sound is only a length, since nothing of it is looked at."""

    def __init__(self, voices: Renderings, num_books: int) -> None:
        self.voices, self.num_books = voices, num_books

    def user_mel(self, what: Heard) -> np.ndarray:
        """Scaled log-mel [F, 80]."""
        if isinstance(what, Sound):
            what = render_sound(what)
        audio = what if isinstance(what, Audio) else self.voices.render(what)
        return log_mel(audio.samples, multiple=1)

    def token_ends(self, what: Heard) -> np.ndarray | None:
        """Not aligned: the transcript's place does not matter here."""
        del what
        return None

    def misheard(self, what: Heard) -> None:
        """Never: what is looked at is when it speaks, told what was said."""
        del what

    def own_codes(self, speech: Speech) -> np.ndarray:
        """Codes [T, K], zeros, long enough for the words."""
        return np.zeros((_TOKENS_A_STEP + len(speech.text), self.num_books), np.int64)

    def own_word_starts(self, speech: Speech) -> None:
        """Not known; when its words come does not matter here."""
        del speech


class Onsets(NamedTuple):
    """A talk's margins, one for each clock step until the end of patience, and the step at which an answer is due."""

    margins: np.ndarray
    due: int


@dataclass(frozen=True, slots=True)
class TurnRow:
    """What one bias would do. waits_ms: from the user's end to the end of the step that takes the turn."""

    bias: float
    num_talks: int
    num_false: int
    waits_ms: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """False starts of all talks; of the rest, how many were answered at all, and how soon."""
        num_right = self.num_talks - self.num_false
        return {
            "bias": self.bias,
            "false_start_rate": estimate_proportion(self.num_false, self.num_talks).to_json(),
            "answer_rate": estimate_proportion(len(self.waits_ms), num_right).to_json(),
            "wait_p50_ms": estimate_quantile(self.waits_ms, 0.5).to_json(),
            "wait_p95_ms": estimate_quantile(self.waits_ms, 0.95).to_json(),
        }


def put_off(example: Example) -> Example | None:
    """The live talk up to the model's first answer, which comes `PATIENCE_STEPS` late; None where it never answers."""
    events = example.timeline.events if example.timeline is not None else ()
    for idx, event in enumerate(events):
        if isinstance(event, OwnSpan):
            late = replace(event, speech=Speech("late", PRESET_VOICE), onset_frames=PATIENCE_STEPS)
            return replace(example, timeline=Timeline((*events[:idx], late)))
    return None


@torch.no_grad()
def measure_onsets(
    model: OmniForConversation, rows: RowMaker, examples: Sequence[Example], *, seed: int = 0
) -> list[Onsets]:
    """Margins of each talk that has an answer."""
    generator = np.random.default_rng((seed, 73))
    made = [rows.make(late, generator) for example in examples if (late := put_off(example)) is not None]
    model.eval()
    found: list[Onsets] = []
    for start in range(0, len(made), _BATCH_ROWS):
        group = made[start : start + _BATCH_ROWS]
        batch = collate(group)
        hidden = model.hear_trunk(model.embed(batch), batch.rows)
        turn = model.turn_logits(hidden[batch.clock_places]).float().numpy()
        counts = [int((row.kinds == CLOCK).sum()) for row in group]
        for row, logits in zip(group, np.split(turn, np.cumsum(counts)[:-1])):
            answered = int(np.flatnonzero(row.turn == SPEAK)[0])
            due = answered - (PATIENCE_STEPS - 1)
            found.append(Onsets(logits[:answered, SPEAK] - logits[:answered, STAY], due))
    return found


def sweep(onsets: Sequence[Onsets], biases: Sequence[float]) -> list[TurnRow]:
    """What each bias would do to these talks."""
    found = []
    for bias in biases:
        firsts = [next(iter(np.flatnonzero(talk.margins > -bias)), None) for talk in onsets]
        waits = [int(first) - talk.due for first, talk in zip(firsts, onsets) if first is not None]
        late = tuple(float((wait + 1) * FRAME_MS) for wait in waits if wait >= 0)
        found.append(TurnRow(bias, len(onsets), sum(wait < 0 for wait in waits), late))
    return found
