"""Clock steps of the live slots: what each is prepared with, one batch for those that are due, and long work in pieces.

A slot that reads a picture, a film or a long text, or draws, is held: its clock step waits while it gets one piece of work
at a time between the others' steps, and what comes of the step is given to its session once all is done. The others never
see it. Engines that can't work in pieces do it all within the step.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from vivavoce.content import Image, Message
from vivavoce.errors import DataError
from vivavoce.omni.engine_protocol import AnswerDelta, DuplexEngine, SlotInput, SlotOutput
from vivavoce.serve.making import close_pieces
from vivavoce.serve.piecewise import SHORT_CHARS, PiecewiseEngine, is_long
from vivavoce.serve.rewinding import Reopen
from vivavoce.serve.session import RealtimeSession
from vivavoce.serve.wire import WireError


@dataclass(slots=True)
class _Held:
    """A slot's long work: before its clock step (`given`: what the step gets), or after it (`output`: what it gave)."""

    pieces: Iterator[AnswerDelta]
    given: SlotInput | None = None
    output: SlotOutput | None = None
    token_steps: int = 0
    heard_steps: int = 0
    images: tuple[Image, ...] = ()
    is_read: bool = False
    """Nothing is left but the clock step."""

    def add_to(self, output: SlotOutput) -> SlotOutput:
        """What came of the clock step, with this work."""
        return replace(
            output,
            images=output.images + self.images,
            token_steps=output.token_steps + self.token_steps,
            heard_steps=output.heard_steps + self.heard_steps,
        )


class SlotSteps:
    """Drives the engine's slots. Run by the worker's thread."""

    def __init__(self, engine: DuplexEngine) -> None:
        self._engine = engine
        self._in_pieces = engine if isinstance(engine, PiecewiseEngine) else None
        if self._in_pieces is not None:
            self._in_pieces.draws_apart = True
        self._seeds = itertools.count(1)
        self._held: dict[int, _Held] = {}
        self.num_stepped = 0
        """Slots in the last batch."""

    def open(self, slot: int, system: str) -> None:
        """Start an empty conversation. Raises: DataError."""
        self._engine.open_slot(slot, system, seed=next(self._seeds))

    def close(self, slot: int) -> None:
        """Forget the conversation, in the middle of whatever it does."""
        held = self._held.pop(slot, None)
        if held is not None:
            close_pieces(held.pieces)
        self._engine.close_slot(slot)

    def is_held(self, slot: int) -> bool:
        """Whether the slot is between the plan of its step and what came of it."""
        return slot in self._held

    def is_ready(self, slot: int) -> bool:
        """Whether a held slot wants its clock step now."""
        return slot in self._held and self._held[slot].is_read

    @property
    def num_in_pieces(self) -> int:
        """Slots that wait for a piece of work."""
        return sum(not held.is_read for held in self._held.values())

    def step(self, sessions: Mapping[int, RealtimeSession], now_s: float) -> dict[int, SlotOutput]:
        """One batch for these slots; returns what came of those that are done with it."""
        inputs: dict[int, SlotInput] = {}
        read: dict[int, _Held] = {}
        for slot, session in sessions.items():
            held = self._held.pop(slot, None)
            if held is not None and held.given is not None:
                inputs[slot], read[slot] = held.given, held
                continue
            given = self._prepare(slot, session, now_s)
            if given is not None:
                inputs[slot] = given
        self.num_stepped = len(inputs)
        outputs = self._run(inputs, sessions) if inputs else {}
        for slot, held in read.items():
            outputs[slot] = held.add_to(outputs[slot])
        if self._in_pieces is not None:
            for slot in [slot for slot in outputs if self._in_pieces.is_drawing(slot)]:
                if inputs[slot].force == "stop":
                    continue  # whoever made it stop waits for no drawing
                self._held[slot] = _Held(self._in_pieces.draw(slot), output=outputs.pop(slot))
        return outputs

    def try_early(self, inputs: dict[int, SlotInput]) -> dict[int, SlotOutput]:
        """One batch that counts only for the slots that begin to speak in it; for the others it is taken back."""
        self.num_stepped = 0
        outputs = self._engine.step(inputs)
        for slot in [slot for slot, output in outputs.items() if output.event != "speak"]:
            self._engine.rewind(slot, outputs.pop(slot).frame_idx)
        self.num_stepped = len(outputs)
        return outputs

    def advance(self, sessions: Mapping[int, RealtimeSession]) -> dict[int, SlotOutput]:
        """One piece of the work that has waited longest; returns what came of the step if that was the last."""
        slot = next(slot for slot, held in self._held.items() if not held.is_read)
        held = self._held.pop(slot)
        self._held[slot] = held  # at the end of the line
        try:
            delta = next(held.pieces, None)
        except DataError as error:
            self._refuse(sessions[slot], error)
            delta = None
        if delta is not None:
            held.token_steps += delta.token_steps
            held.heard_steps += delta.heard_steps
            held.images += (delta.image,) if delta.image is not None else ()
            return {}
        if held.output is None:
            held.is_read = True
            return {}
        del self._held[slot]
        return {slot: held.add_to(held.output)}

    def cut(self, slot: int) -> SlotOutput | None:
        """The response that a held slot's work is for was cancelled: nobody waits for the drawing, nor for speech.

        A drawing ends here, and what came of its step without it is returned. What is read is remembered anyway, so
        that reading goes on; the step after it will not begin to speak.
        """
        held = self._held[slot]
        if held.output is None:
            assert held.given is not None
            force = held.given.force if held.given.force == "stop" else None
            held.given = replace(held.given, force=force, may_speak=False)
            return None
        close_pieces(held.pieces)
        return self._held.pop(slot).output

    # ---- inside

    def _prepare(self, slot: int, session: RealtimeSession, now_s: float) -> SlotInput | None:
        """Do what the plan asks for before the step; None if that is long, and the slot is held."""
        plan = session.plan(now_s)
        given = plan.input
        opening: Iterator[AnswerDelta] | None = None
        for operation in plan.operations:
            if isinstance(operation, Reopen):
                opening = self._reopen(slot, operation.system, session)
                continue
            try:
                self._engine.rewind(slot, operation.frame_idx)
            except DataError:
                # too long ago for the engine: make the context anew from the record
                opening = self._reopen(slot, session.settings.instructions, session)
                given = replace(given, inserts=(*session.items.to_conversation().messages, *given.inserts))
        if self._in_pieces is None or (opening is None and not is_long(given.inserts)):
            return given
        pieces = _chain(opening, self._in_pieces, slot, given.inserts)
        self._held[slot] = _Held(pieces, given=replace(given, inserts=()))
        return None

    def _reopen(self, slot: int, system: str, session: RealtimeSession) -> Iterator[AnswerDelta] | None:
        """Start the slot anew; with long instructions, the pieces of it."""
        self._engine.close_slot(slot)
        if self._in_pieces is not None and len(system) > SHORT_CHARS:
            return self._open_in_pieces(slot, system, session)
        try:
            self.open(slot, system)
        except DataError as error:
            self._refuse_instructions(session, error)
            self.open(slot, "")
        return None

    def _open_in_pieces(self, slot: int, system: str, session: RealtimeSession) -> Iterator[AnswerDelta]:
        assert self._in_pieces is not None
        try:
            yield from self._in_pieces.open_in_pieces(slot, system, next(self._seeds))
        except DataError as error:
            self._refuse_instructions(session, error)
            self.open(slot, "")

    def _run(self, inputs: dict[int, SlotInput], sessions: Mapping[int, RealtimeSession]) -> dict[int, SlotOutput]:
        """One batch. An insert that the model cannot take is refused by name, and only its own talker goes without it."""
        try:
            return self._engine.step(inputs)
        except DataError:
            outputs: dict[int, SlotOutput] = {}
            for slot, given in inputs.items():
                try:
                    outputs |= self._engine.step({slot: given})
                except DataError as error:
                    self._refuse(sessions[slot], error)
                    outputs |= self._engine.step({slot: replace(given, inserts=())})
            return outputs

    @staticmethod
    def _refuse(session: RealtimeSession, error: DataError) -> None:
        session.refuse(WireError(f"the model could not take this in: {error}", code="context_refused"))

    @staticmethod
    def _refuse_instructions(session: RealtimeSession, error: DataError) -> None:
        session.refuse(
            WireError(f"the instructions do not fit: {error}", code="context_refused", param="session.instructions")
        )


def _chain(
    opening: Iterator[AnswerDelta] | None, engine: PiecewiseEngine, slot: int, messages: tuple[Message, ...]
) -> Iterator[AnswerDelta]:
    if opening is not None:
        yield from opening
    if messages:
        yield from engine.read(slot, messages)
