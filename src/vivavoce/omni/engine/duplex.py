"""The live engine (`engine_protocol.DuplexEngine`): slots on the 80 ms clock, and answers made turn by turn beside them."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vivavoce.content import Image, Message
from vivavoce.errors import DataError
from vivavoce.omni.configuration import MEL_FRAMES_PER_STEP
from vivavoce.omni.engine.answering import Answering, Piece, list_sounds, place_sounds, write_quiet
from vivavoce.omni.engine.drawing import Drawer
from vivavoce.omni.engine.generation import Generation
from vivavoce.omni.engine.rules import IMGOUT, Allowed
from vivavoce.omni.engine.voice import Painter, Voice
from vivavoce.omni.engine.work import Alone, Clock, Feed, Outcome, SlotState, Token, Work
from vivavoce.omni.engine_protocol import (
    USER_FRAME_SAMPLES,
    AnswerDelta,
    AnswerRequest,
    Modality,
    SlotInput,
    SlotOutput,
    TurnEvent,
)
from vivavoce.omni.layout import RowWriter
from vivavoce.omni.mel import StreamingMel
from vivavoce.omni.steps import SPEAK, STOP

DRAW_STEPS = 4
"""Token steps in a piece of a drawing: about one clock step's work. chosen."""
KEPT_FRAMES = 400
"""Clock steps that can be taken back: 32 s, a little over the longest utterance."""
_EVENTS: dict[int, TurnEvent] = {SPEAK: "speak", STOP: "stop"}


@dataclass(frozen=True, slots=True)
class _Moment:
    """All of a live slot between two clock steps; a value."""

    state: SlotState
    mel: StreamingMel
    voice: Any = None
    frame_idx: int = 0
    is_live: bool = False


@dataclass(slots=True)
class _Slot:
    now: _Moment
    past: deque[_Moment] = field(default_factory=lambda: deque(maxlen=KEPT_FRAMES))
    """The moment before each of the last clock steps."""
    unread: _Moment | None = None
    """The moment before what has been read in pieces since the last clock step."""
    is_drawing: bool = False
    """A drawing was begun and waits for `draw`."""


class OmniEngine:
    """See the module docstring and the protocol. Answers use slots of their own, numbered from -1 down."""

    def __init__(
        self,
        generation: Generation,
        writer: RowWriter,
        *,
        voice: Voice | None,
        painter: Painter | None,
        model_name: str,
        num_slots: int,
        voice_name: str = "heart",
        speak_bias: float = 0.0,
    ) -> None:
        self.generation, self.writer = generation, writer
        self.voice, self.painter = voice, painter
        self._name, self._num_slots, self._voice_name = model_name, num_slots, voice_name
        self._slots: dict[int, _Slot] = {}
        self._answers: set[int] = set()
        self.speak_bias = speak_bias
        """Added to each live step's own (`OmniConfig.speak_bias`)."""
        self.draws_apart = False
        """Whether `step` leaves a drawing to `draw`, so that other slots can be stepped in between."""

    @property
    def model_name(self) -> str:
        """The name clients see."""
        return self._name

    @property
    def num_slots(self) -> int:
        """Conversations that can be open at once."""
        return self._num_slots

    @property
    def context_steps(self) -> int:
        """Steps that a slot remembers."""
        return self.generation.context_steps

    @property
    def voices(self) -> tuple[str, ...]:
        """The one preset voice."""
        return (self._voice_name,) if self.voice is not None else ()

    @property
    def modalities_out(self) -> frozenset[Modality]:
        """What `answer` can make."""
        made: list[Modality] = ["text"]
        if self.voice is not None:
            made.append("audio")
        if self.painter is not None:
            made.append("image")
        return frozenset(made)

    def open_slot(self, slot: int, system: str = "", seed: int = 0) -> None:
        """Start an empty conversation.

        Raises: DataError if there is no such slot, it is open already, or `system` is longer than the context.
        """
        for _ in self.open_in_pieces(slot, system, seed):
            pass

    def _check_closed(self, slot: int) -> None:
        if not 0 <= slot < self._num_slots:
            raise DataError(f"slot {slot} does not exist; there are {self._num_slots}, from 0")
        if slot in self._slots:
            raise DataError(f"slot {slot} is open; close it first")

    def _opening(self, system: str) -> Feed:
        outputs = self.modalities_out & {"audio", "image"}
        return Feed(self.writer.begin(outputs=outputs, system=system), is_opening=True)

    def close_slot(self, slot: int) -> None:
        """Forget the conversation."""
        if self._slots.pop(slot, None) is not None:
            self.generation.close(slot)

    def step(self, inputs: Mapping[int, SlotInput]) -> dict[int, SlotOutput]:
        """One clock step for exactly the slots named.

        Raises: DataError if a slot is closed, a frame has the wrong length, or an insert does not fit the context;
            then no slot has changed.
        """
        for slot, given in inputs.items():
            self._check(slot, given)
        now = {slot: self._slots[slot].now for slot in inputs}
        before = {slot: self._slots[slot].unread or moment for slot, moment in now.items()}
        try:
            reads = {slot: self._insert(slot, given.inserts) for slot, given in inputs.items()}
        except DataError:
            for slot in inputs:
                self._undo_reading(slot, before[slot])
            raise
        mels = {slot: self._hear(slot, given.user_pcm) for slot, given in inputs.items()}
        works = {slot: self._plan(mels[slot], given) for slot, given in inputs.items()}
        outcomes = self.generation.advance(works)
        return {slot: self._finish(slot, before[slot], outcomes[slot], reads[slot]) for slot in inputs}

    def _plan(self, mel: np.ndarray | None, given: SlotInput) -> Clock:
        bias = given.speak_bias + self.speak_bias
        return Clock(mel, given.may_speak, given.force, bias, may_draw=self.painter is not None)

    # ---- long work in pieces: opening, reading, drawing. A slot in the middle of it must not be stepped.

    def open_in_pieces(self, slot: int, system: str, seed: int) -> Iterator[AnswerDelta]:
        """`open_slot` in pieces.

        Raises: DataError at the first piece, as `open_slot`.
        """
        self._check_closed(slot)
        self.generation.open(slot, seed)
        is_open = False
        try:
            for count in self.generation.feed_chunks(slot, self._opening(system)):
                yield AnswerDelta(token_steps=count, prompt_steps=count)
            self._slots[slot] = _Slot(_Moment(self.generation.state(slot), StreamingMel()))
            is_open = True
        finally:
            if not is_open:
                self.generation.close(slot)

    def read(self, slot: int, messages: Sequence[Message]) -> Iterator[AnswerDelta]:
        """What the next `step` would do with these as `inserts`, in pieces; closed early, the slot is as before.

        Raises: DataError if they do not fit; the slot is as before.
        """
        held = self._require(slot)
        before = held.unread = held.unread or held.now
        is_read = False
        try:
            for message in messages:
                yield from self._read_message(slot, message)
            is_read = True
        finally:
            if not is_read and slot in self._slots:
                self._undo_reading(slot, before)

    def _undo_reading(self, slot: int, before: _Moment) -> None:
        self.generation.rewind(slot, before.state)
        self._slots[slot].now, self._slots[slot].unread = before, None

    def is_drawing(self, slot: int) -> bool:
        """Whether the slot's last step began a drawing that has not been drawn."""
        return self._require(slot).is_drawing

    def draw(self, slot: int) -> Iterator[AnswerDelta]:
        """The drawing that was begun, in pieces, the last with the image; closed early, there was none."""
        held = self._require(slot)
        held.is_drawing, is_drawn = False, False
        try:
            yield from self._draw_pieces(slot)
            held.now = replace(held.now, state=self.generation.state(slot))
            is_drawn = True
        finally:
            if not is_drawn and slot in self._slots:
                self.generation.rewind(slot, held.now.state)

    def _draw(self, slot: int) -> tuple[tuple[Image, ...], int]:
        """The drawing that follows an utterance at once, and the steps that it took."""
        deltas = list(self._draw_pieces(slot))
        images = tuple(delta.image for delta in deltas if delta.image is not None)
        return images, sum(delta.token_steps for delta in deltas)

    def _draw_pieces(self, slot: int) -> Iterator[AnswerDelta]:
        """The drawing in pieces."""
        assert self.painter is not None
        said = self.writer.vocabulary.decode(self.generation.state(slot).own.ids)
        drawing, outcome, count, longest = self._draw_after(said), None, 0, self._length(slot)
        while True:
            try:
                work = drawing.send(outcome)
            except StopIteration as done:
                yield AnswerDelta(image=self.painter.paint(done.value), token_steps=count)
                return
            if isinstance(work, Token | Clock):
                outcome = self.generation.advance({slot: work})[slot]
                longest, before = max(longest, self._length(slot)), longest
                count += longest - before
                if count == DRAW_STEPS or longest == before:
                    yield AnswerDelta(token_steps=count)
                    count = 0
            else:
                outcome = yield from self._work_alone(slot, work)

    def _draw_after(self, said: str) -> Generator[Work, Outcome | None, np.ndarray]:
        yield Token(Allowed((IMGOUT,)))
        return (yield from Drawer(self.writer, self.painter, self.generation.sampling).draw(said))

    def _work_alone(self, slot: int, work: Alone) -> Generator[AnswerDelta, None, Outcome]:
        """Work that needs no company, a delta for each piece. Only steps that the conversation has not held before count."""
        pieces = self.generation.take_alone(slot, work)
        is_prompt = isinstance(work, Feed) and not work.is_own
        while True:
            try:
                count = next(pieces)
            except StopIteration as done:
                return done.value
            yield AnswerDelta(token_steps=count, prompt_steps=count) if is_prompt else AnswerDelta()

    def _length(self, slot: int) -> int:
        return self.generation.state(slot).window.length

    def rewind(self, slot: int, frame_idx: int) -> None:
        """Return to just before a clock step.

        Raises: DataError if the slot is closed, or the step lies ahead or was forgotten.
        """
        held = self._require(slot)
        held.is_drawing = False
        if held.unread is not None:
            self._undo_reading(slot, held.unread)
        if frame_idx == held.now.frame_idx:
            return
        oldest = held.past[0].frame_idx if held.past else held.now.frame_idx
        if not oldest <= frame_idx <= held.now.frame_idx:
            raise DataError(
                f"clock step {frame_idx} of slot {slot} can't be returned to; allowed: {oldest} to {held.now.frame_idx}"
            )
        while held.past[-1].frame_idx > frame_idx:
            held.past.pop()
        held.now = held.past.pop()
        self.generation.rewind(slot, held.now.state)

    def answer(self, request: AnswerRequest) -> Iterator[AnswerDelta]:
        """Make an answer piece by piece.

        Raises: DataError if the conversation or the outputs can't be served.
        """
        missing = set(request.outputs) - self.modalities_out
        if missing:
            raise DataError(
                f"this model can't make {', '.join(sorted(missing))}; it makes {', '.join(sorted(self.modalities_out))}"
            )
        answering = Answering(request, self.writer, self.generation.sampling, self.painter, self.voice)
        return self._drive(answering, request.seed)

    def _drive(self, answering: Answering, seed: int) -> Iterator[AnswerDelta]:
        slot = min(self._answers, default=0) - 1
        self._answers.add(slot)
        voice = None if self.voice is None else self.voice.start()
        script = answering.run()
        try:
            self.generation.open(slot, seed)
            outcome, longest = None, 0
            while (work := _next(script, outcome)) is not None:
                num_steps = 0
                if isinstance(work, Token | Clock):
                    outcome = self.generation.advance({slot: work})[slot]
                    # a drawing that is tried again is counted once
                    num_steps = int(self._length(slot) > longest)
                else:
                    outcome = yield from self._work_alone(slot, work)
                longest = max(longest, self._length(slot))
                pieces, answering.pieces = answering.pieces, []
                if not pieces:
                    yield AnswerDelta(token_steps=num_steps)
                for idx, piece in enumerate(pieces):
                    delta, voice = self._render(piece, voice)
                    yield delta._replace(token_steps=0 if idx else num_steps)
            for piece in answering.pieces:
                delta, voice = self._render(piece, voice)
                yield delta
        finally:
            script.close()
            self.generation.close(slot)
            self._answers.discard(slot)

    def _render(self, piece: Piece, voice: Any) -> tuple[AnswerDelta, Any]:
        pcm = image = None
        if piece.codes is not None and self.voice is not None:
            pcm, voice = self.voice.decode(piece.codes[None], voice)
        if piece.drawing is not None and self.painter is not None:
            image = self.painter.paint(piece.drawing)
        heard = piece.prompt_steps
        return AnswerDelta(piece.text, pcm, image, prompt_steps=heard, heard_steps=heard), voice

    def _check(self, slot: int, given: SlotInput) -> None:
        self._require(slot)
        pcm = given.user_pcm
        if pcm is not None and (pcm.shape != (USER_FRAME_SAMPLES,) or pcm.dtype != np.float32):
            raise DataError(
                f"audio frame is {pcm.dtype} {list(pcm.shape)}; need float32 [{USER_FRAME_SAMPLES}]; buffer before step()"
            )

    def _require(self, slot: int) -> _Slot:
        if slot not in self._slots:
            raise DataError(f"slot {slot} is closed; open it first")
        return self._slots[slot]

    def _insert(self, slot: int, messages: tuple[Message, ...]) -> AnswerDelta:
        """Read messages and enter live time; returns the steps that took."""
        pieces = [piece for message in messages for piece in self._read_message(slot, message)]
        count = sum(piece.token_steps for piece in pieces) + self._enter_live(slot)
        return AnswerDelta(token_steps=count, heard_steps=sum(piece.heard_steps for piece in pieces))

    def _read_message(self, slot: int, message: Message) -> Iterator[AnswerDelta]:
        """Read one message, sound and all; yields the steps of each piece."""
        held = self._slots[slot]
        row = write_quiet(self.writer, message)
        if len(row):
            for count in self.generation.feed_chunks(slot, Feed(row)):
                yield AnswerDelta(token_steps=count, prompt_steps=count)
            held.now = replace(held.now, is_live=False)
        if message.role == "assistant":
            return
        track = place_sounds(list_sounds(message))
        if len(track):
            count = self._enter_live(slot)
            yield AnswerDelta(token_steps=count, prompt_steps=count)
        for mel in track:
            self.generation.advance({slot: Clock(mel, may_speak=False)})
            yield AnswerDelta(token_steps=1, prompt_steps=1, heard_steps=1)

    def _enter_live(self, slot: int) -> int:
        held = self._slots[slot]
        if held.now.is_live:
            return 0
        held.now = replace(held.now, is_live=True)
        row = self.writer.empty()
        row.token(self.writer.vocabulary.id_of("<live>"))
        return self.generation.feed(slot, Feed(row))

    def _hear(self, slot: int, pcm: np.ndarray | None) -> np.ndarray | None:
        """Log-mel [8, 80] of a frame; the window goes on through muted time as through silence."""
        held = self._slots[slot]
        mel = copy.copy(held.now.mel)
        frames = mel.push(np.zeros(USER_FRAME_SAMPLES, np.float32) if pcm is None else pcm)
        assert len(frames) == MEL_FRAMES_PER_STEP
        held.now = replace(held.now, mel=mel)
        return None if pcm is None else frames

    def _finish(self, slot: int, before: _Moment, outcome: Outcome, read: AnswerDelta) -> SlotOutput:
        """Decode the step's sound and file the moment before it."""
        held, pcm, voice = self._slots[slot], None, None
        if outcome.codes is not None and self.voice is not None:
            voice = self.voice.start() if outcome.event == SPEAK else held.now.voice
            pcm, voice = self.voice.decode(outcome.codes[None], voice)
        held.is_drawing = outcome.text_id == IMGOUT and self.draws_apart
        images, num_drawn = self._draw(slot) if outcome.text_id == IMGOUT and not self.draws_apart else ((), 0)
        held.unread = None
        held.past.append(before)
        held.now = replace(held.now, state=self.generation.state(slot), voice=voice, frame_idx=before.frame_idx + 1)
        self.generation.forget(slot, held.past[0].state)
        return SlotOutput(
            frame_idx=before.frame_idx,
            event=_EVENTS.get(outcome.event),
            pcm=pcm,
            own_text=outcome.own_text,
            user_text=outcome.user_text,
            settled_text=outcome.settled_text,
            images=images,
            token_steps=read.token_steps + num_drawn,
            heard_steps=read.heard_steps,
        )


def _next(script: Any, outcome: Outcome | None) -> Work | None:
    try:
        return script.send(outcome)
    except StopIteration:
        return None
