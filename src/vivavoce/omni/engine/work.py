"""What a conversation can be asked to do in one go, and what that gives. Values; `generation` does the work."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vivavoce.omni.engine.backend import EarState
from vivavoce.omni.engine.cache import Window
from vivavoce.omni.engine.rules import PAD, Allowed, TurnState
from vivavoce.omni.engine.transcriber import SOON_NATS, Hearing
from vivavoce.omni.engine.transcript import TextStream
from vivavoce.omni.engine_protocol import TurnEvent
from vivavoce.omni.steps import StepRow


@dataclass(frozen=True, slots=True)
class SlotState:
    """One conversation between two steps.

    hidden: [D] of the last step. hearing: the transcript as far as it is heard. text, codes: what the last clock step
    gave, which the next reads. own, user: the two texts. draws: random draws so far.
    """

    ear: EarState
    codes: tuple[int, ...]
    hearing: Hearing
    window: Window = field(default_factory=Window)
    hidden: np.ndarray | None = None
    text: int = PAD
    turn: TurnState = field(default_factory=TurnState)
    own: TextStream = field(default_factory=TextStream)
    user: TextStream = field(default_factory=TextStream)
    has_user_text: bool = False
    draws: int = 0


@dataclass(frozen=True, slots=True)
class Feed:
    """Steps that take no time and are given: a row of tokens and patches.

    is_opening: they are never forgotten. is_own: the model made them before, so they are no part of the prompt.
    """

    row: StepRow
    is_opening: bool = False
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """No step: asks for the state, to come back to it by `Return`."""


@dataclass(frozen=True, slots=True)
class Return:
    """No step: back to a state of a `Mark`, but for what is random, which goes on: what is chosen from there may differ."""

    state: SlotState


@dataclass(frozen=True, slots=True)
class Look:
    """A row read apart from the conversation, which does not change: how likely are `ids` to follow it?"""

    row: StepRow
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Listen:
    """A sound heard apart from the conversation, which does not change: how likely does it say `ids`? mel [T, 8, 80]."""

    mel: np.ndarray
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """One token step whose id is chosen from what the last step predicts."""

    allowed: Allowed
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class Clock:
    """One clock step. mel: [8, 80] of the user, None while muted.

    may_sound: False where the answer has no sound; then `<speak>` only takes the turn. may_write: whether words may be
    added. may_draw: whether the step that stops may ask for a picture. far_nats: how soon the user's words are decided (`transcriber`).
    code_temperature: of its sound; None is the engine's own.
    """

    mel: np.ndarray | None
    may_speak: bool = True
    force: TurnEvent | None = None
    speak_bias: float = 0.0
    may_sound: bool = True
    may_write: bool = True
    may_draw: bool = False
    far_nats: float = SOON_NATS
    code_temperature: float | None = None


Alone = Feed | Mark | Return | Look | Listen
"""What one slot does without the others (`take_alone`)."""
Work = Alone | Token | Clock


@dataclass(frozen=True, slots=True)
class Outcome:
    """What work gave. Token: `token`. Clock: event, ids, codes [K] while speaking, the text they add, what the user said in utterances that
    are over, as it is known in the end, and how many words of the user's are decided and not yet read. Mark: `state`. Look,
    Listen: `log_prob`, natural."""

    token: int | None = None
    event: int = 0
    text_id: int = PAD
    heard_id: int = PAD
    codes: np.ndarray | None = None
    own_text: str = ""
    user_text: str = ""
    settled_text: str = ""
    num_waiting: int = 0
    state: SlotState | None = None
    log_prob: float = 0.0
