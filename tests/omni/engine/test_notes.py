"""A model that takes its turn reads what it has heard: in the engine as in training, once, and as it is known by then."""

import numpy as np
import pytest
import torch

from tests.omni.engine.models import make_checkpoint
from vivavoce.omni.engine.generation import Generation
from vivavoce.omni.engine.sampling import Sampling
from vivavoce.omni.engine.torch_backend import TorchBackend
from vivavoce.omni.engine.work import Clock, Feed, Outcome
from vivavoce.omni.layout import RowWriter
from vivavoce.omni.step_batch import collate
from vivavoce.omni.steps import CLOCK, SPEAK, STOP, ClockStep
from vivavoce.omni.vocabulary import NUM_CONTROL_ROWS

CHECKPOINT = make_checkpoint()
WRITER = RowWriter(CHECKPOINT.vocabulary, CHECKPOINT.model.config)
FORCED = {8: "speak", 13: "stop", 20: "speak", 24: "stop"}
NUM_STEPS = 26


@pytest.fixture
def generation() -> Generation:
    backend = TorchBackend(CHECKPOINT.model)
    return Generation(backend, CHECKPOINT.vocabulary, sampling=Sampling(text_temperature=0.0))


def open_talk(generation: Generation) -> None:
    row = WRITER.begin(outputs=frozenset({"audio"}))
    row.token(CHECKPOINT.vocabulary.id_of("<live>"))
    generation.open(0)
    generation.feed(0, Feed(row, is_opening=True))


def take(generation: Generation, idx: int, **changes) -> Outcome:
    mel = np.random.default_rng(idx).normal(size=(8, 80)).astype(np.float32)
    work = Clock(mel, may_speak=False, force=FORCED.get(idx), **changes)  # type: ignore[arg-type]
    return generation.advance({0: work})[0]


def record_notes(generation: Generation) -> list[tuple[int, ...]]:
    """Fills with what is read each time."""
    notes, read = [], generation.transcriber.read

    def note(hearing):
        ids, after = read(hearing)
        notes.append(ids)
        return ids, after

    generation.transcriber.read = note  # type: ignore[method-assign]
    return notes


def test_a_live_talk_is_the_row_that_training_would_write(generation: Generation) -> None:
    notes = record_notes(generation)
    open_talk(generation)
    row = WRITER.begin(outputs=frozenset({"audio"}))
    row.token(CHECKPOINT.vocabulary.id_of("<live>"))
    outcomes = []
    for idx in range(NUM_STEPS):
        made = take(generation, idx)
        outcomes.append(made)
        mel = np.random.default_rng(idx).normal(size=(8, 80)).astype(np.float32)
        row.clock(ClockStep(mel, made.event, made.text_id, made.heard_id, made.codes))
        if made.event == SPEAK and notes[-1]:
            WRITER.write_note(row, notes[-1], is_spoken=True)
    assert [made.event for made in outcomes if made.event] == [SPEAK, STOP, SPEAK, STOP]
    assert all(notes)
    steps = row.finish()
    batch = collate([steps])
    model = CHECKPOINT.model
    with torch.inference_mode():
        hidden = model.hear_trunk(model.embed(batch), batch.rows)
        words = model.text_logits(hidden[batch.said_places])[:, NUM_CONTROL_ROWS:].argmax(-1) + NUM_CONTROL_ROWS
    state = generation.state(0)
    assert state.window.length == len(steps)
    np.testing.assert_allclose(state.hidden, hidden[-1].numpy(), atol=1e-4)
    for idx in (8, 20):
        assert steps.said_from[idx] > np.flatnonzero(steps.kinds == CLOCK)[idx]
        assert outcomes[idx].text_id == words[idx]


def test_who_has_heard_nothing_reads_nothing(generation: Generation) -> None:
    open_talk(generation)
    before = generation.state(0).window.length
    made = generation.advance({0: Clock(None, force="speak")})[0]
    assert made.event == SPEAK
    assert generation.state(0).window.length == before + 1


def test_before_an_answer_in_text_the_clock_does_not_go_on(generation: Generation) -> None:
    notes = record_notes(generation)
    open_talk(generation)
    for idx in range(8):
        take(generation, idx)
    before = generation.state(0).window.length
    take(generation, 8, may_sound=False)
    # the step, <user>, the words, <end>
    assert generation.state(0).window.length == before + 1 + len(notes[-1]) + 2
