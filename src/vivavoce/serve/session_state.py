"""What a realtime session is doing, and what it hands to the worker. Values only."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from vivavoce.omni.engine_protocol import AnswerRequest, SlotInput
from vivavoce.serve.rewinding import Operation


class State(Enum):
    """What the session is doing; error messages name it."""

    LISTENING = "listening"
    AWAITING = "awaiting the model's first word"
    SPEAKING = "speaking"
    JUDGING = "waiting for the voice guard"
    ANSWERING = "writing an answer"
    CLOSED = "closed"


class StepPlan(NamedTuple):
    """Operations on the slot, then one clock step."""

    operations: tuple[Operation, ...]
    input: SlotInput


class Answer(NamedTuple):
    """An answer to be made turn by turn for this session."""

    response_id: str
    request: AnswerRequest
