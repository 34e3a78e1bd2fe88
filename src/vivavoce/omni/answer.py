"""Answers turn by turn, one or many at once: what the card, the matrix and `viva ask` use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vivavoce.content import Audio, Conversation, Image, Message, user
from vivavoce.errors import DataError
from vivavoce.omni.checkpoint import load_checkpoint
from vivavoce.omni.engine.answering import Answering, Piece, Script, to_message
from vivavoce.omni.engine.duplex import OmniEngine
from vivavoce.omni.engine.generation import finish
from vivavoce.omni.engine.loading import make_engine
from vivavoce.omni.engine.sampling import Sampling
from vivavoce.omni.engine.voice import decode_all
from vivavoce.omni.engine.work import Clock, Outcome, Token, Work
from vivavoce.omni.engine_protocol import OWN_RATE_HZ, AnswerRequest

BATCH = 16
"""Conversations run side by side. chosen: more should gain little on two cores, since caches are copied together."""

_FIRST_SLOT = 1_000_000
"""Slots of batches start here, out of the way of an engine's own."""


@dataclass(frozen=True, slots=True)
class OmniModel:
    """A loaded model. Not thread-safe."""

    engine: OmniEngine
    path: str

    @property
    def name(self) -> str:
        """`vivavoce-nano`, say."""
        return self.engine.model_name


def load_omni(path: Path | str, *, backend: str = "auto", sampling: Sampling | None = None) -> OmniModel:
    """The model in a checkpoint folder.

    Raises: CheckpointError if it is broken; ConfigError for an unknown backend (`engine.loading.BACKENDS`).
    """
    return OmniModel(make_engine(load_checkpoint(path), backend=backend, sampling=sampling), str(path))


def answer(
    model: OmniModel,
    conversation: Conversation,
    *,
    outputs: frozenset[str] | set[str] = frozenset({"text"}),
    seed: int = 0,
) -> Message:
    """The model's answer to the conversation's last message, as an assistant message.

    outputs: which of text, audio, image it may hold. Sound is 24 kHz and carries its transcript.
    Raises: DataError if the conversation can't be read or the outputs can't be made.
    """
    return answer_all(model, [conversation], outputs=outputs, seed=seed)[0]


def answer_all(
    model: OmniModel,
    conversations: Iterable[Conversation],
    *,
    outputs: frozenset[str] | set[str] = frozenset({"text"}),
    seed: int = 0,
    num_together: int = BATCH,
    on_done: Callable[[int], None] | None = None,
) -> list[Message]:
    """Answers to many conversations, run side by side; each is what it would be alone.

    on_done: called with the number finished so far.
    Raises: as `answer`, for the first that fails.
    """
    wanted = frozenset(outputs)
    requests = [AnswerRequest(conversation=conversation, outputs=wanted, seed=seed) for conversation in conversations]  # type: ignore[arg-type]
    return answer_requests(model, requests, num_together=num_together, on_done=on_done)


def answer_requests(
    model: OmniModel,
    requests: Sequence[AnswerRequest],
    *,
    num_together: int = BATCH,
    on_done: Callable[[int], None] | None = None,
) -> list[Message]:
    """The same for requests that differ in outputs, task or seed."""
    engine = model.engine
    for request in requests:
        if missing := set(request.outputs) - engine.modalities_out:
            raise DataError(
                f"{model.name} can't make {', '.join(sorted(missing))}; "
                f"it makes {', '.join(sorted(engine.modalities_out))}"
            )
    waiting = list(enumerate(requests))[::-1]
    active: dict[int, _Running] = {}
    done: dict[int, Message] = {}
    try:
        while waiting or active:
            while waiting and len(active) < num_together:
                idx, request = waiting.pop()
                slot = _FIRST_SLOT + idx
                active[slot] = _start(engine, slot, request)
            for slot in [slot for slot, running in active.items() if running.work is None]:
                done[slot - _FIRST_SLOT] = _finish(engine, active.pop(slot))
                engine.generation.close(slot)
                if on_done is not None:
                    on_done(len(done))
            works = {slot: running.work for slot, running in active.items() if running.work is not None}
            shared = {slot: work for slot, work in works.items() if isinstance(work, Token | Clock)}
            for slot, outcome in engine.generation.advance(shared).items():
                active[slot].send(outcome)
            _work_alone(engine, active)
    finally:
        for slot in active:
            engine.generation.close(slot)
    return [done[idx] for idx in range(len(requests))]


def transcribe_all(model: OmniModel, audios: Sequence[Audio], *, seed: int = 0) -> list[str]:
    """What the model writes down of each recording."""
    requests = [
        AnswerRequest(conversation=Conversation((user(audio),)), task="transcribe", seed=seed) for audio in audios
    ]
    return [message.text for message in answer_requests(model, requests)]


@dataclass
class _Running:
    """A conversation in a batch. work: what it wants next, None when it is done."""

    answering: Answering
    script: Script
    work: Work | None = None
    pieces: list[Piece] = field(default_factory=list)

    def send(self, outcome: Outcome | None) -> None:
        """Go on to the next piece of work."""
        try:
            self.work = self.script.send(outcome)
        except StopIteration:
            self.work = None


def _start(engine: OmniEngine, slot: int, request: AnswerRequest) -> _Running:
    answering = Answering(request, engine.writer, engine.generation.sampling, engine.painter, engine.voice)
    engine.generation.open(slot, request.seed)
    running = _Running(answering, answering.run())
    running.send(None)
    _work_alone(engine, {slot: running})
    return running


def _work_alone(engine: OmniEngine, active: dict[int, _Running]) -> None:
    """Do all work that needs no company."""
    for slot, running in active.items():
        while running.work is not None and not isinstance(running.work, Token | Clock):
            running.send(finish(engine.generation.take_alone(slot, running.work)))


def _finish(engine: OmniEngine, running: _Running) -> Message:
    pieces, outputs = running.answering.pieces, frozenset(running.answering.request.outputs)
    text = "".join(piece.text for piece in pieces).strip()
    codes = [piece.codes for piece in pieces if piece.codes is not None]
    audio: Audio | None = None
    if "audio" in outputs and engine.voice is not None:
        samples = np.ascontiguousarray(decode_all(engine.voice, codes), np.float32)
        audio = Audio(samples, OWN_RATE_HZ, text)
    painter = engine.painter
    drawings = [piece.drawing for piece in pieces if piece.drawing is not None]
    images: list[Image] = [] if painter is None else [painter.paint(drawing) for drawing in drawings]
    return to_message(outputs, text, audio, images)
