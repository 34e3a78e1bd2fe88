"""One thing to learn or to be tested on: the data contract between the small world, real data, voices and training.

An `Example` is light: pictures and films are drawn, non-speech sounds synthesised, but speech is named, not rendered.
Where a part is spoken, the conversation holds `Audio` with no samples and its transcript (`unrendered`), and
`Example.speeches` lists what to render, in order. `data.voices` renders; `fill_speech` puts the result in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from vivavoce.content import Audio, Conversation, Image, Message, Part, Text, Video
from vivavoce.data.answers import Answer

Split = Literal["train", "test"]
Modalities = frozenset[str]
"""A subset of text, audio, image, video."""

PRESET_VOICE = "heart"
"""The only voice the model speaks in."""
MUMBLED_VOICE = "mumbled"
"""Nobody's voice: it can be heard that somebody speaks and for how long, and what is said stands in the transcript alone
(`omni.training.mumbling`). For training; it can't be rendered."""
USER_RATE_HZ = 16_000
OWN_RATE_HZ = 24_000
FRAME_S = 0.08


@dataclass(frozen=True, slots=True)
class Speech:
    """Something said: the words, who says them, how the recording is spoiled.

    voice: `PRESET_VOICE`; a concrete voice of `data.voices`; `MUMBLED_VOICE`; or `any_voice(split, take)`, which the renderer
    resolves to one of the split's voices by the text, so that a bounded cache covers a curriculum.
    seed: of the augmentation; None is a clean recording.
    """

    text: str
    voice: str
    seed: int | None = None

    @property
    def rate_hz(self) -> int:
        """24,000 for the preset voice, 16,000 for users."""
        return OWN_RATE_HZ if self.voice == PRESET_VOICE else USER_RATE_HZ


def any_voice(split: Split, take: int = 0) -> str:
    """A voice to be chosen by the renderer among those of the split; `take` tells renderings of one text apart."""
    return f"any-{split}-{take}"


@dataclass(frozen=True, slots=True)
class Sound:
    """`count` non-speech sounds of one kind (`data.sounds` makes them); `noise` and `silence` last `duration_s`."""

    name: str
    count: int = 1
    seed: int = 0
    duration_s: float = 0.0


UserKind = Literal["speech", "backchannel", "hesitation", "sound", "noise"]


@dataclass(frozen=True, slots=True)
class UserSpan:
    """The user makes a sound.

    gap_s: seconds from the anchor to its start. anchor `end`: the end of whatever was heard last (user or own);
    `own_start`: the onset of the model's last own span, so the two overlap. A `speech` anchored so is a barge-in (the
    model must stop), a `backchannel` is not (it must go on). `what` may be a recording as it is, at 16 kHz. After a `hesitation`, or a `speech` with `is_held`, the
    model must keep waiting.
    """

    kind: UserKind
    what: Speech | Sound | Audio
    gap_s: float = 0.3
    anchor: Literal["end", "own_start"] = "end"
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class OwnSpan:
    """The model speaks. It starts `onset_frames` frames of 80 ms after the true end of the user's last sound.

    stop_frames: how many frames after a barge-in starts it falls silent. is_mistake: it should not have spoken, which
    happens and is not to be learned; what it does next is. drawn: what it draws as it ends.
    """

    speech: Speech
    onset_frames: int = 1
    stop_frames: int = 3
    is_mistake: bool = False
    drawn: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Insert:
    """A picture (or the next frame of a film: `is_frame`) that arrives while the clock runs, `gap_s` after the anchor."""

    image: Image
    gap_s: float = 0.0
    anchor: Literal["end", "start"] = "end"
    is_frame: bool = False


@dataclass(frozen=True, slots=True)
class Typed:
    """The user types a message, `gap_s` after the end of whatever was heard last; it takes no time."""

    message: Message
    gap_s: float = 0.3


Event = UserSpan | OwnSpan | Insert | Typed


@dataclass(frozen=True, slots=True)
class Scheduled:
    """An event at its true time. A cut own span ends at `end_s` though its sound is longer (`is_cut`)."""

    event: Event
    start_s: float
    end_s: float
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """Live talk: events in order of their start, then `tail_s` of nothing."""

    events: tuple[Event, ...]
    tail_s: float = 0.5

    def schedule(self, duration_s: Callable[[Speech | Sound | Audio], float]) -> tuple[Scheduled, ...]:
        """True times of all events, given how long each rendered sound lasts (without silence at either end).

        Inserts anchored at `start` count from time 0. An own span waits for what was shown or typed before it, and is cut
        `stop_frames` after a `speech` starts in it.
        """
        done: list[Scheduled] = []
        last_end_s = user_end_s = shown_s = 0.0
        own_idx: int | None = None
        for event in self.events:
            if isinstance(event, Insert | Typed):
                is_from_start = isinstance(event, Insert) and event.anchor == "start"
                start_s = event.gap_s + (0.0 if is_from_start else last_end_s)
                shown_s = max(shown_s, start_s)
                done.append(Scheduled(event, start_s, start_s))
                continue
            if isinstance(event, OwnSpan):
                start_s = max(user_end_s, last_end_s, shown_s) + event.onset_frames * FRAME_S
                end_s = start_s + duration_s(event.speech)
                own_idx = len(done)
            else:
                is_over_own = event.anchor == "own_start" and own_idx is not None
                start_s = event.gap_s + (done[own_idx].start_s if is_over_own and own_idx is not None else last_end_s)
                end_s = user_end_s = start_s + duration_s(event.what)
                if own_idx is not None and event.kind == "speech" and start_s < done[own_idx].end_s:
                    own = done[own_idx].event
                    assert isinstance(own, OwnSpan)
                    cut_s = start_s + own.stop_frames * FRAME_S
                    if cut_s < done[own_idx].end_s:
                        done[own_idx] = replace(done[own_idx], end_s=cut_s, is_cut=True)
                        last_end_s = cut_s
            done.append(Scheduled(event, start_s, end_s))
            last_end_s = max(last_end_s, end_s)
        return tuple(done)

    @property
    def speeches(self) -> tuple[Speech, ...]:
        """What must be rendered, in order of the events."""
        said = [event.speech if isinstance(event, OwnSpan) else getattr(event, "what", None) for event in self.events]
        return tuple(item for item in said if isinstance(item, Speech))


@dataclass(frozen=True, slots=True)
class Example:
    """One example.

    task: a row of `docs/data.md`'s table. inputs, outputs: modalities of the last user message and of the right answer.
    messages: as a client would send them, the right answer last (an assistant message).
    speeches: what to render for the unrendered `Audio` parts of `messages`, in order (a film's sound counts where the
    film stands). timeline: the same exchange live, where the task is live talk; then `messages` mirrors it.
    """

    example_id: str
    task: str
    split: Split
    inputs: Modalities
    outputs: Modalities
    messages: Conversation
    answer: Answer
    speeches: tuple[Speech, ...] = ()
    timeline: Timeline | None = None
    caption: str = ""

    @property
    def cell(self) -> str:
        """The cell of the any-to-any matrix: `audio+image -> text`."""
        return f"{name_modalities(self.inputs)} -> {name_modalities(self.outputs)}"


_ORDER = ("text", "audio", "image", "video")


def name_modalities(modalities: Modalities) -> str:
    """`text+audio`, in the order text, audio, image, video."""
    return "+".join(name for name in _ORDER if name in modalities)


def unrendered(speech: Speech) -> Audio:
    """The place of a speech in a conversation: no samples, its rate, its transcript."""
    return Audio(np.zeros(0, np.float32), speech.rate_hz, speech.text)


def is_unrendered(part: Part) -> bool:
    """Whether this is the place of a speech that is yet to be rendered."""
    return isinstance(part, Audio) and len(part.samples) == 0 and part.transcript is not None


def find_modalities(message: Message) -> Modalities:
    """The kinds of part in a message; a film with sound counts as audio and video."""
    found = {type(part).__name__.lower() for part in message.parts}
    if any(isinstance(part, Video) and part.audio is not None for part in message.parts):
        found.add("audio")
    return frozenset(found)


def fill_speech(example: Example, audios: Sequence[Audio]) -> Conversation:
    """The example's conversation with its unrendered parts filled, one of `audios` for each of `example.speeches`.

    Raises: ValueError if the counts differ.
    """
    waiting = list(audios)
    if len(waiting) != len(example.speeches):
        raise ValueError(f"{len(waiting)} renderings for {len(example.speeches)} speeches; need one each, in order")

    def fill(part: Part) -> Part:
        if isinstance(part, Audio) and is_unrendered(part):
            return replace(waiting.pop(0), transcript=part.transcript)
        if isinstance(part, Video) and part.audio is not None and is_unrendered(part.audio):
            return replace(part, audio=replace(waiting.pop(0), transcript=part.audio.transcript))
        return part

    messages = tuple(replace(message, parts=tuple(map(fill, message.parts))) for message in example.messages.messages)
    if waiting:
        raise ValueError(f"{len(waiting)} renderings have no place in the conversation of {example.example_id}")
    return Conversation(messages)


def list_texts(example: Example) -> list[str]:
    """Every text in the example, transcripts, live speech and caption included, in order; for tokenizer training."""
    texts: list[str] = []
    for message in example.messages.messages:
        for part in message.parts:
            said = part.audio if isinstance(part, Video) else part
            text = said.text if isinstance(said, Text) else getattr(said, "transcript", None)
            if text:
                texts.append(text)
    if example.timeline is not None:
        texts.extend(speech.text for speech in example.timeline.speeches)
    if example.caption:
        texts.append(example.caption)
    return texts
