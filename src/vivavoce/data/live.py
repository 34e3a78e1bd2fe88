"""Live talk: who speaks when, with pauses, hesitations, barge-ins, back-channels, noise, pictures and films on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from vivavoce.content import Audio, Conversation, Image, Message, Part, Text
from vivavoce.data.answers import Answer
from vivavoce.data.drawing import OWN_STYLE, draw_film, draw_scene
from vivavoce.data.drawing_tasks import drawn_item
from vivavoce.data.example import (
    PRESET_VOICE,
    Event,
    Example,
    Insert,
    OwnSpan,
    Sound,
    Speech,
    Split,
    Timeline,
    Typed,
    UserKind,
    UserSpan,
    any_voice,
    find_modalities,
    unrendered,
)
from vivavoce.data.items import Item, choose
from vivavoce.data.retyping import type_question
from vivavoce.data.scene import Scene
from vivavoce.data.sounds import NOISE_NAMES, render_sound
from vivavoce.data.styles import choose_style

Anchor = Literal["end", "own_start"]

HESITATIONS = ("um", "uh", "er", "hmm", "well", "let me think", "you know", "so")
BACKCHANNELS = ("mm-hm", "uh-huh", "yeah", "okay", "right", "i see", "oh", "yes")
STOPS = (
    "stop",
    "stop please",
    "wait",
    "no, wait",
    "hold on",
    "one moment",
    "stop it",
    "be quiet",
    "enough",
    "that's enough",
)
_NUM_SPLIT_QUESTIONS = {"train": 500, "test": 80}
_LONG_REPLY_WORDS = 5
_SEEN = ("name", "colour", "count", "place", "size", "exists", "relation", "read")
"""Tasks of a picture that is shown in live talk."""

TAKES = {"train": 4, "test": 1}
"""How many voices say each text: `any_voice(split, take)` for take below this."""


@lru_cache(maxsize=4)
def list_questions(split: Split) -> tuple[Item, ...]:
    """What is asked in live talk without a picture: facts, small talk, what it declines and its neighbours."""
    from vivavoce.data.pools import list_items

    return tuple(item for task in ("fact", "talk", "decline", "allow") for item in list_items(task, split))


@lru_cache(maxsize=4)
def list_paused(split: Split) -> tuple[tuple[str, str, Item], ...]:
    """Questions that are asked with a pause in the middle: first half, second half, the item."""
    long = [item for item in list_questions(split) if len(item.ask.split()) >= 5]
    generator = np.random.default_rng((51, split == "test"))
    chosen = generator.choice(len(long), size=min(len(long), _NUM_SPLIT_QUESTIONS[split]), replace=False)
    paused = []
    for idx in sorted(chosen.tolist()):
        words = long[idx].ask.split()
        cut = int(generator.integers(2, len(words) - 1))
        paused.append((" ".join(words[:cut]), " ".join(words[cut:]), long[idx]))
    return tuple(paused)


@lru_cache(maxsize=4)
def list_fillers(kind: str, split: Split) -> tuple[str, ...]:
    """Hesitations, back-channels or stops. All of them in both splits: it is the voices that differ."""
    return {"hesitation": HESITATIONS, "backchannel": BACKCHANNELS, "stop": STOPS}[kind]


def list_live_texts(split: Split) -> list[str]:
    """Everything that users say only in live talk."""
    halves = [half for first, second, _ in list_paused(split) for half in (first, second)]
    return [text for kind in ("hesitation", "backchannel", "stop") for text in list_fillers(kind, split)] + halves


class _Talk:
    """Collects the events of one conversation, all of its user speech in one voice."""

    def __init__(self, split: Split, generator: np.random.Generator) -> None:
        self.split: Split = split
        self.generator = generator
        self.voice = any_voice(split, int(generator.integers(TAKES[split])))
        self.seed = None if generator.random() < (0.3 if split == "train" else 0.7) else int(generator.integers(2**31))
        self.events: list[Event] = []

    def between(self, low: float, high: float) -> float:
        return float(self.generator.uniform(low, high))

    def user(
        self, text: str, gap_s: float, kind: UserKind = "speech", *, anchor: Anchor = "end", is_held: bool = False
    ) -> None:
        self.events.append(UserSpan(kind, Speech(text, self.voice, self.seed), gap_s, anchor, is_held))

    def sound(self, kind: UserKind, sound: Sound, gap_s: float) -> None:
        self.events.append(UserSpan(kind, sound, gap_s, is_held=True))

    def own(self, text: str, *, is_mistake: bool = False, drawn: tuple[Image, ...] = ()) -> None:
        onset, stop = int(self.generator.integers(1, 3)), int(self.generator.integers(2, 5))
        self.events.append(OwnSpan(Speech(text, PRESET_VOICE), onset, stop, is_mistake, drawn))

    def ask(self, item: Item, gap_s: float, shown: tuple[Image, ...] = (), *, typed_share: float) -> None:
        """The item's question, typed or spoken."""
        if self.generator.random() < typed_share:
            words = type_question(item, self.split, self.generator)
            self.events.append(Typed(Message("user", (*shown, Text(words))), gap_s))
        else:
            self.user(item.ask, gap_s)

    def question(self) -> Item:
        return choose(self.generator, list_questions(self.split))


def _turns(talk: _Talk) -> Answer:
    answer = Answer("words")
    for order in range(int(talk.generator.integers(1, 4))):
        item = talk.question()
        talk.user(item.ask, talk.between(0.2, 1.2) + (0.4 if order else 0.0))
        talk.own(item.say)
        answer = item.answer
    return answer


def _pause(talk: _Talk) -> Answer:
    first, second, item = choose(talk.generator, list_paused(talk.split))
    talk.user(first, talk.between(0.2, 1.0), is_held=True)
    if talk.generator.random() < 0.6:
        filler = choose(talk.generator, list_fillers("hesitation", talk.split))
        talk.user(filler, talk.between(0.15, 0.6), "hesitation", is_held=True)
    talk.user(second, talk.between(0.3, 1.6))
    talk.own(item.say)
    return item.answer


def _too_soon(talk: _Talk) -> Answer:
    """It took a pause for the end and is talked over: it stops, and answers once the question is whole."""
    first, second, item = choose(talk.generator, list_paused(talk.split))
    talk.user(first, talk.between(0.2, 1.0))
    talk.own(_long_reply(talk).say, is_mistake=True)
    talk.user(second, talk.between(0.08, 0.9), anchor="own_start")
    talk.own(item.say)
    return item.answer


def _hesitation(talk: _Talk) -> Answer:
    talk.user(
        choose(talk.generator, list_fillers("hesitation", talk.split)),
        talk.between(0.2, 1.0),
        "hesitation",
        is_held=True,
    )
    item = talk.question()
    talk.user(item.ask, talk.between(0.5, 1.5))
    talk.own(item.say)
    return item.answer


def _long_reply(talk: _Talk) -> Item:
    while True:
        item = talk.question()
        if len(item.say.split()) >= _LONG_REPLY_WORDS:
            return item


def _barge_in(talk: _Talk) -> Answer:
    item = _long_reply(talk)
    talk.user(item.ask, talk.between(0.2, 1.0))
    talk.own(item.say)
    at_s = talk.between(0.35, 1.0)
    if talk.generator.random() < 0.5:
        talk.user(choose(talk.generator, list_fillers("stop", talk.split)), at_s, anchor="own_start", is_held=True)
        return Answer("words")
    item = talk.question()
    talk.user(item.ask, at_s, anchor="own_start")
    talk.own(item.say)
    return item.answer


def _backchannel(talk: _Talk) -> Answer:
    item = _long_reply(talk)
    talk.user(item.ask, talk.between(0.2, 1.0))
    talk.own(item.say)
    talk.user(
        choose(talk.generator, list_fillers("backchannel", talk.split)),
        talk.between(0.3, 0.9),
        "backchannel",
        anchor="own_start",
    )
    return item.answer


def _nobody(talk: _Talk) -> Answer:
    name = choose(talk.generator, NOISE_NAMES)
    sound = Sound(name, seed=int(talk.generator.integers(2**31)), duration_s=round(talk.between(1.0, 4.0), 2))
    talk.sound("noise", sound, talk.between(0.0, 0.5))
    return Answer("words")


def _sounds(talk: _Talk) -> Answer:
    from vivavoce.data.pools import list_items

    item = choose(talk.generator, list_items(choose(talk.generator, ("sound_count", "sound_name")), talk.split))
    assert item.sound is not None
    talk.sound("sound", item.sound, talk.between(0.2, 0.8))
    talk.user(item.ask, talk.between(0.4, 1.0))
    talk.own(item.say)
    return item.answer


def _picture(talk: _Talk) -> Answer:
    from vivavoce.data.pools import list_items

    item = choose(talk.generator, list_items(choose(talk.generator, _SEEN), talk.split))
    assert item.scene is not None
    style, _ = choose_style(talk.split, talk.generator)
    at_s = talk.between(0.1, 0.6)
    talk.events.append(Insert(draw_scene(item.scene, style), at_s))
    talk.user(item.ask, at_s + talk.between(0.1, 0.8))
    talk.own(item.say)
    return item.answer


def _film(talk: _Talk) -> Answer:
    from vivavoce.data.pools import list_items

    task = choose(talk.generator, ("film_event", "film_direction", "film_name", "film_count"))
    item = choose(talk.generator, list_items(task, talk.split))
    assert item.film is not None
    style, _ = choose_style(talk.split, talk.generator)
    film = draw_film(list(item.film.frames), style)
    begin_s = talk.between(0.1, 0.5)
    for order, pixels in enumerate(film.frames):
        talk.events.append(Insert(Image(pixels), round(begin_s + order / film.fps, 3), "start", is_frame=True))
    talk.user(item.ask, begin_s + len(film.frames) / film.fps + talk.between(0.0, 0.4))
    talk.own(item.say)
    return item.answer


def _typed(talk: _Talk) -> Answer:
    """Messages typed in a talk that is answered aloud, some with a picture; some turns are spoken all the same."""
    answer = Answer("words")
    for _ in range(int(talk.generator.integers(1, 5))):
        item, shown = _typed_question(talk)
        talk.ask(item, talk.between(0.1, 1.5), shown, typed_share=1.0 if shown else 0.8)
        talk.own(item.say)
        answer = item.answer
    return answer


def _typed_question(talk: _Talk) -> tuple[Item, tuple[Image, ...]]:
    from vivavoce.data.pools import list_items

    if talk.generator.random() < 0.8:
        return talk.question(), ()
    item = choose(talk.generator, list_items(choose(talk.generator, _SEEN), talk.split))
    assert item.scene is not None
    return item, (draw_scene(item.scene, choose_style(talk.split, talk.generator)[0]),)


def _drawing(talk: _Talk) -> Answer:
    """It draws, and the talk goes on: other questions, the question what it drew, more drawings."""
    from vivavoce.data.pools import list_items

    drawn: Scene | None = None
    answer = Answer("words")
    for order in range(int(talk.generator.integers(2, 5))):
        gap_s, typed_share = talk.between(0.3, 1.5), 0.5
        pictures: tuple[Image, ...] = ()
        if not order or talk.generator.random() < 0.35:
            item = choose(talk.generator, list_items("draw", talk.split))
            drawn = item.target
            assert drawn is not None
            pictures = (draw_scene(drawn, OWN_STYLE),)
        elif drawn is not None and talk.generator.random() < 0.3:
            # nobody has read that question aloud
            item, typed_share = drawn_item(drawn, talk.split, talk.generator), 1.0
        else:
            item = talk.question()
        talk.ask(item, gap_s, typed_share=typed_share)
        talk.own(item.say, drawn=pictures)
        answer = item.answer
    return answer


LIVE_KINDS: dict[str, tuple[float, Callable[[_Talk], Answer]]] = {
    "turns": (0.30, _turns),
    "pause": (0.16, _pause),
    "too_soon": (0.1, _too_soon),
    "hesitation": (0.06, _hesitation),
    "barge_in": (0.14, _barge_in),
    "backchannel": (0.09, _backchannel),
    "nobody": (0.09, _nobody),
    "sounds": (0.05, _sounds),
    "picture": (0.08, _picture),
    "film": (0.05, _film),
    "typed": (0.06, _typed),
    "drawing": (0.05, _drawing),
}
"""Share and maker of each kind of live talk."""


def make_live(split: Split, generator: np.random.Generator, example_id: str, kind: str | None = None) -> Example:
    """A live conversation, of one of `LIVE_KINDS` or sampled by share."""
    if kind is None:
        shares = np.array([share for share, _ in LIVE_KINDS.values()])
        kind = list(LIVE_KINDS)[int(generator.choice(len(shares), p=shares / shares.sum()))]
    talk = _Talk(split, generator)
    answer = LIVE_KINDS[kind][1](talk)
    timeline = Timeline(tuple(talk.events), tail_s=round(talk.between(0.4, 1.2), 2))
    messages = mirror_events(timeline.events)
    is_answered = any(isinstance(event, OwnSpan) for event in timeline.events)
    inputs = frozenset().union(*(find_modalities(message) for message in messages.messages if message.role == "user"))
    draws = any(isinstance(event, OwnSpan) and event.drawn for event in timeline.events)
    outputs = frozenset({"audio"} if is_answered else ()) | frozenset({"image"} if draws else ())
    return Example(
        f"{example_id}-{kind}", f"live_{kind}", split, inputs, outputs, messages, answer, timeline.speeches, timeline
    )


def mirror_events(events: Sequence[Event]) -> Conversation:
    """The same exchange turn by turn: what follows each other by one role is one message."""
    messages: list[Message] = []
    for event in events:
        role = "assistant" if isinstance(event, OwnSpan) else "user"
        if messages and messages[-1].role == role:
            messages[-1] = Message(role, (*messages[-1].parts, *_parts_of(event)))
        else:
            messages.append(Message(role, _parts_of(event)))
    return Conversation(tuple(messages))


def _parts_of(event: Event) -> tuple[Part, ...]:
    if isinstance(event, Typed):
        return event.message.parts
    if isinstance(event, OwnSpan):
        return (unrendered(event.speech), *event.drawn)
    if isinstance(event, Insert):
        return (event.image,)
    if isinstance(event.what, Speech):
        return (unrendered(event.what),)
    return (event.what if isinstance(event.what, Audio) else render_sound(event.what),)
