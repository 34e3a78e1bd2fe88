"""What a live engine offers to a server: slots on the 80 ms clock, and answers made turn by turn.

Torch-free on purpose: the scheduler, the realtime state machine and their tests are written against this file, the
engines (PyTorch, ONNX, scripted) satisfy it. An engine is driven by one thread; nothing here is thread-safe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np

from vivavoce.content import Conversation, Image, Message

FRAME_MS = 80
USER_RATE_HZ = 16_000
USER_FRAME_SAMPLES = 1_280
OWN_RATE_HZ = 24_000
OWN_FRAME_SAMPLES = 1_920

TurnEvent = Literal["speak", "stop"]
Modality = Literal["text", "audio", "image"]
Task = Literal["answer", "read", "transcribe", "draw"]


@dataclass(frozen=True, slots=True)
class SlotInput:
    """What one slot gets for one clock step.

    user_pcm: [1280] float32 at 16,000 Hz, or None when the microphone is muted (not the same as silence).
    inserts: messages fed as token steps *before* this clock step, in order: instructions (role system), typed text,
        pictures and films (role user), earlier turns of a conversation (any role; audio parts are heard in no time).
    speak_bias: added to the logit of `<speak>`; positive is more eager than the engine is by itself.
    may_speak: False masks `<speak>` (the gate of `server_vad` and of no turn detection). A slot that speaks goes on.
    force: "speak" makes this step a `<speak>` even where `may_speak` is False, "stop" a `<stop>`; in a slot that
        speaks already (or is silent already) it does nothing.
    """

    user_pcm: np.ndarray | None = None
    inserts: tuple[Message, ...] = ()
    speak_bias: float = 0.0
    may_speak: bool = True
    force: TurnEvent | None = None


@dataclass(frozen=True, slots=True)
class SlotOutput:
    """What one slot gave in one clock step.

    frame_idx: number of this clock step in the slot, from 0; `rewind(slot, frame_idx)` returns to just before it.
    event: "speak" on the first step of an utterance (its pcm belongs to the utterance), "stop" on the step after its
        last (pcm None).
    pcm: [1920] float32 at 24,000 Hz while the slot speaks, None while it is silent.
    own_text, user_text: what was added to the model's own text and to its transcript of the user; "" mostly.
    settled_text: utterances of the user that are over, as they are known in the end: stands for all of `user_text` since the last
        such; "" mostly, and always of an engine that never thinks again.
    images: pictures finished in this step.
    token_steps: steps that were run before this clock step (inserts, drawing); for accounts of use. heard_steps:
        those among them in which recordings were heard.
    """

    frame_idx: int
    event: TurnEvent | None = None
    pcm: np.ndarray | None = None
    own_text: str = ""
    user_text: str = ""
    settled_text: str = ""
    images: tuple[Image, ...] = ()
    token_steps: int = 0
    heard_steps: int = 0


class AnswerDelta(NamedTuple):
    """A piece of an answer; all fields empty means "still working" and lets other work go first.

    pcm: [S] float32 at 24,000 Hz, any S. `image` is a finished picture. `token_steps` ran since the last delta,
    `prompt_steps` of them to read the conversation, and in `heard_steps` of these its recordings were heard.
    """

    text: str = ""
    pcm: np.ndarray | None = None
    image: Image | None = None
    token_steps: int = 0
    prompt_steps: int = 0
    heard_steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRequest:
    """One answer to make, outside of the live slots.

    task: "answer" the conversation's last message; "read" its text aloud, word for word; "transcribe" its audio;
        "draw" its text.
    outputs: what the answer may hold; with "audio" the text that is spoken comes as text too.
    max_tokens: a bound on the text; the answer ends there. temperature None is the engine's own.
    is_streamed: pieces are wanted as they are made, so what is said is not listened to first (`engine.reading`).
    """

    conversation: Conversation
    outputs: frozenset[Modality] = frozenset({"text"})
    task: Task = "answer"
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int = 0
    is_streamed: bool = False


class DuplexEngine(Protocol):
    """A model that listens, speaks and draws in `num_slots` conversations at once.

    Slots are numbers from 0. Every call runs to its end before the next starts. A slot that is not stepped does not
    change: the mapping given to `step` is the execution mask.
    """

    @property
    def model_name(self) -> str:
        """The name clients see, e.g. `vivavoce-nano`."""
        ...

    @property
    def num_slots(self) -> int:
        """How many conversations can be open at once."""
        ...

    @property
    def context_steps(self) -> int:
        """Steps (clock and token) that a slot remembers. Past that it forgets the oldest but keeps the first
        system message; `step` never fails for want of room."""
        ...

    @property
    def voices(self) -> tuple[str, ...]:
        """Preset voices, the default first."""
        ...

    @property
    def modalities_out(self) -> frozenset[Modality]:
        """What `answer` can make."""
        ...

    def open_slot(self, slot: int, system: str = "", seed: int = 0) -> None:
        """Start an empty conversation in a closed slot; `system` opens it. Equal seeds and inputs give equal outputs."""
        ...

    def close_slot(self, slot: int) -> None:
        """Forget the conversation. Closing a closed slot does nothing."""
        ...

    def step(self, inputs: Mapping[int, SlotInput]) -> dict[int, SlotOutput]:
        """One clock step for exactly the slots named; the others stay as they are, bit for bit.

        A slot gives the same output whichever others are stepped with it.
        """
        ...

    def rewind(self, slot: int, frame_idx: int) -> None:
        """Return the slot to just before clock step `frame_idx`, as if it and all after had never been.

        If the slot was speaking at that moment it speaks still. Rewinding to the next frame does nothing.
        Raises: DataError if the frame lies in the future or was forgotten.
        """
        ...

    def answer(self, request: AnswerRequest) -> Iterator[AnswerDelta]:
        """Make an answer piece by piece. Each `next` does at most about one clock step's worth of work, so that live
        slots can be stepped in between; dropping the iterator (`close`) frees what it holds.

        Raises: DataError if the conversation holds what the model can't read, or `outputs` what it can't make.
        """
        ...
