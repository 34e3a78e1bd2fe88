"""Which decision may come next: the finite-state rules of generation. Torch-free, no numbers of the network.

On the clock (`TurnState`): silent -> SPEAK -> speaking -> STOP -> silent; words and codes only while speaking; `<imgout>`
only on the step that stops, and only where pictures are wanted. In a message without sound (`MessageState`): words, then
drawings of exactly 64 codes each, then `<end>`. What is not allowed is masked before a choice is made, so a model that
has learned nothing still makes a well-formed row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from vivavoce.errors import DataError
from vivavoce.omni.engine_protocol import TurnEvent
from vivavoce.omni.steps import SPEAK, STAY, STOP
from vivavoce.omni.vocabulary import CONTROL_TOKENS, NUM_CONTROL_ROWS

PAD, END, IMGOUT, CLOSE_IMGOUT = (CONTROL_TOKENS.index(name) for name in ("<pad>", "<end>", "<imgout>", "</imgout>"))
NUM_DRAWING_CODES = 64
MAX_DRAWINGS = 4
"""Pictures in one answer. chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechLimits:
    """When speech that has said all its text is stopped from outside.

    Words lead their sound and are few (3-4 tokens a second of speech); what goes on long after them is babble.
    """

    steps_per_word_token: int = 8
    """clock steps that one text token may last; the slowest teacher needs about 5. chosen"""
    slack_steps: int = 19
    """steps more than that, for pauses: 1.5 s. chosen"""
    max_steps: int = 375
    """any one utterance: 30 s. chosen"""


@dataclass(frozen=True, slots=True)
class TurnState:
    """Where the turn stands before a clock step. spoken_steps and word_tokens count within the utterance."""

    is_speaking: bool = False
    spoken_steps: int = 0
    word_tokens: int = 0

    def allowed_events(
        self, *, may_speak: bool = True, force: TurnEvent | None = None, limits: SpeechLimits | None = None
    ) -> tuple[int, ...]:
        """Events that the turn stream may give now. `force` beats `may_speak`; forcing what is so already does nothing."""
        limits = limits or SpeechLimits()
        if self.is_speaking:
            must_stop = force == "stop" or self.is_overdue(limits)
            return (STOP,) if must_stop else (STAY, STOP)
        if force == "speak":
            return (SPEAK,)
        return (STAY, SPEAK) if may_speak else (STAY,)

    def is_overdue(self, limits: SpeechLimits) -> bool:
        """Whether an utterance has gone on for longer than its words can take."""
        due = limits.slack_steps + limits.steps_per_word_token * self.word_tokens
        return self.spoken_steps >= min(due, limits.max_steps)

    def is_speaking_after(self, event: int) -> bool:
        """Whether there are words and codes on the step that gives `event`."""
        return event == SPEAK or (self.is_speaking and event != STOP)

    def advance(self, event: int, text_id: int) -> TurnState:
        """The state after a step that gave `event` and own text `text_id`.

        Raises: DataError if the event is impossible now.
        """
        if (event == SPEAK and self.is_speaking) or (event == STOP and not self.is_speaking):
            names = {SPEAK: "<speak>", STOP: "<stop>"}
            raise DataError(
                f"{names[event]} while {'speaking' if self.is_speaking else 'silent'}; the turn can't do that"
            )
        if not self.is_speaking_after(event):
            return TurnState()
        before = TurnState() if event == SPEAK else self
        return TurnState(True, before.spoken_steps + 1, before.word_tokens + (text_id != PAD))


class Allowed(NamedTuple):
    """Ids that may be chosen: some of their own, and all in [first, last)."""

    ids: tuple[int, ...] = ()
    first: int = 0
    last: int = 0

    def __contains__(self, idx: object) -> bool:
        return idx in self.ids or (isinstance(idx, int) and self.first <= idx < self.last)

    @property
    def only(self) -> int | None:
        """The one id, if there is no choice."""
        return self.ids[0] if len(self.ids) == 1 and self.first >= self.last else None


def allowed_text(state: TurnState, event: int, *, may_draw: bool, num_text_ids: int) -> Allowed:
    """Ids that the own text stream may give on the step that gives `event`.

    The first word falls on the step that takes the turn, always. Turn and text are drawn apart, so where the turn is likely but
    not certain the text alone would often give nothing, and an utterance that began without its word goes on without words.
    """
    if event == SPEAK:
        return Allowed((), NUM_CONTROL_ROWS, num_text_ids)
    if state.is_speaking_after(event):
        return Allowed((PAD,), NUM_CONTROL_ROWS, num_text_ids)
    if event == STOP and may_draw:
        return Allowed((PAD, IMGOUT))
    return Allowed((PAD,))


Place = Literal["words", "drawing", "between", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRules:
    """What one answer without sound may hold. must_draw: it may not end before its first picture."""

    num_text_ids: int
    num_image_codes: int
    may_draw: bool = False
    must_draw: bool = False
    max_tokens: int = 256


@dataclass(frozen=True, slots=True)
class MessageState:
    """Where in the message the next token falls. codes: drawn so far of the picture that is open."""

    place: Place = "words"
    word_tokens: int = 0
    codes: int = 0
    drawings: int = 0

    def allowed(self, rules: MessageRules) -> Allowed:
        """Ids that may come next."""
        if self.place == "drawing":
            if self.codes == NUM_DRAWING_CODES:
                return Allowed((CLOSE_IMGOUT,))
            return Allowed((), rules.num_text_ids, rules.num_text_ids + rules.num_image_codes)
        may_draw = (rules.may_draw or rules.must_draw) and self.drawings < MAX_DRAWINGS
        must_draw = rules.must_draw and self.drawings == 0
        if self.place == "between":
            return Allowed((END, IMGOUT) if may_draw and not rules.must_draw else (END,))
        if self.word_tokens >= rules.max_tokens:
            return Allowed((IMGOUT,) if must_draw else (END,))
        ends = () if must_draw else (END,)
        return Allowed((*ends, *((IMGOUT,) if may_draw else ())), NUM_CONTROL_ROWS, rules.num_text_ids)

    def advance(self, idx: int) -> MessageState:
        """The state after token `idx`, which must have been allowed."""
        if self.place == "drawing":
            return self.close_drawing() if idx == CLOSE_IMGOUT else replace(self, codes=self.codes + 1)
        if idx == IMGOUT:
            return replace(self, place="drawing")
        if idx == END:
            return replace(self, place="done")
        return replace(self, word_tokens=self.word_tokens + 1)

    def close_drawing(self) -> MessageState:
        """The state after `</imgout>`."""
        return replace(self, place="between", codes=0, drawings=self.drawings + 1)


def check_message(ids: Sequence[int], rules: MessageRules) -> MessageState:
    """Run the rules over a finished message.

    Raises: DataError at the first id that is not allowed, with its place.
    """
    state = MessageState()
    for place, idx in enumerate(ids):
        if idx not in state.allowed(rules):
            raise DataError(f"id {idx} at place {place} may not follow ({state.place}); the message is not well-formed")
        state = state.advance(idx)
    return state
