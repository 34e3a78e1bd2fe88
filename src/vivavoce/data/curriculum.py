"""The curriculum of the small world: examples of every cell of the any-to-any matrix, and live talk, by seed.

`make_example(split, seed, idx, mix)` is a pure function, so a training run can be stopped and resumed anywhere;
`iterate_examples` walks it. `iterate_cell` gives the examples of one cell, for the matrix of `viva eval matrix`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count

import numpy as np

from vivavoce.content import Conversation, Message, Part, Text, system
from vivavoce.data.answers import Answer
from vivavoce.data.drawing import OWN_STYLE, draw_film, draw_scene
from vivavoce.data.drawing_tasks import draw_typed
from vivavoce.data.example import (
    MUMBLED_VOICE,
    PRESET_VOICE,
    Example,
    Modalities,
    Speech,
    Split,
    any_voice,
    unrendered,
)
from vivavoce.data.items import Item, choose
from vivavoce.data.live import LIVE_KINDS, TAKES, make_live
from vivavoce.data.pools import list_items, list_reworded, list_typed_aloud
from vivavoce.data.retyping import type_question
from vivavoce.data.rounds import make_knowing, make_looking
from vivavoce.data.sounds import render_sound
from vivavoce.data.styles import choose_style

_REWORDED_SHARE = 0.5
"""Of questions spoken in training, how many are in other wordings than the pool's. chosen."""
_KNOWING = {"fact": 0.6, "talk": 0.12, "decline": 0.14, "allow": 0.14}
_SEEING = {"name": 0.16, "colour": 0.12, "count": 0.18, "place": 0.1, "size": 0.06, "exists": 0.09, "relation": 0.09, "read": 0.1, "describe": 0.1}  # fmt: skip
_FILMS = {"film_event": 0.4, "film_direction": 0.2, "film_name": 0.2, "film_count": 0.2}
_SOUNDS = {"sound_count": 0.4, "sound_name": 0.3, "sound_describe": 0.3}
_REDRAWING = {"copy": 0.3, "recolour": 0.4, "recount": 0.3}
_FILM_DRAWING = {"film_last": 0.5, "film_thing": 0.5}

INPUTS: tuple[str, ...] = ("text", "audio", "image", "video", "audio+image", "audio+video", "text+image")
OUTPUTS: tuple[str, ...] = ("text", "audio", "image", "text+audio", "audio+image")
"""Rows and columns of the any-to-any matrix."""


def list_cell_tasks(inputs: str, outputs: str) -> dict[str, float]:
    """Tasks of a cell, with their shares.

    Raises: KeyError for an input mix that the small world does not have.
    """
    is_drawing = "image" in outputs.split("+")
    says = {
        "text": _KNOWING if outputs == "text" else {**_KNOWING, "read_aloud": 0.5},
        "audio": {
            **_KNOWING,
            **{task: share / 3 for task, share in _SOUNDS.items()},
            **({"write_down": 0.3} if outputs == "text" else {}),
        },
        "image": {"describe": 1.0},
        "video": {"film_event": 1.0},
        "audio+image": _SEEING,
        "text+image": _SEEING,
        "audio+video": _FILMS,
        "text+video": _FILMS,
    }
    draws = {
        "text": {"draw": 1.0},
        "audio": {"draw": 1.0},
        "image": {"copy": 1.0},
        "video": {"film_last": 1.0},
        "audio+image": _REDRAWING,
        "text+image": _REDRAWING,
        "audio+video": _FILM_DRAWING,
        "text+video": _FILM_DRAWING,
    }
    return (draws if is_drawing else says)[inputs]


Mix = Mapping[str, float]
"""Weights of groups: cells by name (`audio+image -> text`), `reading` (text read aloud), `writing` (dictation), `looking`
and `knowing` (rounds of questions in text), `live`, or one kind of it by name (`live_pause`), or `mumbled -> OUTPUTS`: the cell
of audio with the words in the transcript alone, which need no recording and so come in as many wordings as typed ones; or `wordings ->
OUTPUTS`: questions of fact spoken in the wordings of typed ones, as far as those were rendered (`viva data render --texts typed`)."""

DEFAULT_MIX: dict[str, float] = {
    "reading": 0.17,
    "writing": 0.15,
    "looking": 0.09,
    "knowing": 0.1,
    "live": 0.15,
    "text -> text": 0.03,
    "text -> audio": 0.05,
    "text -> image": 0.15,
    "text -> text+audio": 0.01,
    "text -> audio+image": 0.01,
    "audio -> text": 0.03,
    "audio -> audio": 0.13,
    "audio -> image": 0.05,
    "audio -> text+audio": 0.01,
    "audio -> audio+image": 0.01,
    "image -> text": 0.02,
    "image -> audio": 0.01,
    "image -> image": 0.01,
    "image -> text+audio": 0.004,
    "image -> audio+image": 0.004,
    "video -> text": 0.015,
    "video -> audio": 0.008,
    "video -> image": 0.008,
    "video -> text+audio": 0.004,
    "video -> audio+image": 0.004,
    "audio+image -> text": 0.02,
    "audio+image -> audio": 0.025,
    "audio+image -> image": 0.012,
    "audio+image -> text+audio": 0.005,
    "audio+image -> audio+image": 0.005,
    "audio+video -> text": 0.015,
    "audio+video -> audio": 0.012,
    "audio+video -> image": 0.006,
    "audio+video -> text+audio": 0.004,
    "audio+video -> audio+image": 0.004,
    "text+image -> text": 0.025,
    "text+image -> audio": 0.01,
    "text+image -> image": 0.012,
    "text+image -> text+audio": 0.005,
    "text+image -> audio+image": 0.005,
    "text+video -> text": 0.015,
}
"""Weights that training starts from; a trainer passes its own."""
MUMBLED = "mumbled"
WORDINGS = "wordings"
GROUPS: tuple[str, ...] = (
    *DEFAULT_MIX,
    *(f"live_{kind}" for kind in LIVE_KINDS),
    *(f"{MUMBLED} -> {outputs}" for outputs in OUTPUTS),
    *(f"{WORDINGS} -> {outputs}" for outputs in OUTPUTS if "image" not in outputs),
)
"""Whatever a mix may name."""


def make_example(split: Split, seed: int, idx: int, mix: Mix = DEFAULT_MIX) -> Example:
    """Example `idx` of the endless curriculum of (split, seed, mix).

    Raises: KeyError for a group of `mix` that does not exist.
    """
    generator = np.random.default_rng((seed, idx, split == "test", 61))
    shares = np.array(list(mix.values()), float)
    group = list(mix)[int(generator.choice(len(shares), p=shares / shares.sum()))]
    return _make_of_group(group, split, generator, f"{split}-{seed}-{idx}")


def iterate_examples(split: Split, seed: int, mix: Mix = DEFAULT_MIX, *, start: int = 0) -> Iterator[Example]:
    """Examples from `start` on, without end."""
    return (make_example(split, seed, idx, mix) for idx in count(start))


def iterate_cell(inputs: str, outputs: str, split: Split, seed: int) -> Iterator[Example]:
    """Examples of one cell, each item of its pools at most once in a row of as many: for evaluation."""
    group = f"{inputs} -> {outputs}"
    for idx in count():
        generator = np.random.default_rng(
            (seed, idx, split == "test", 62, INPUTS.index(inputs), OUTPUTS.index(outputs))
        )
        yield _make_of_group(group, split, generator, f"{split}-{seed}-{idx}-{group.replace(' ', '')}")


def iterate_task(task: str, inputs: str, outputs: str, split: Split, seed: int) -> Iterator[Example]:
    """Every item of a task's pool once, in an order by seed, asked and answered in these modalities."""
    items = list_items(task, split)
    order = np.random.default_rng((seed, 63)).permutation(len(items))
    for position, idx in enumerate(order.tolist()):
        generator = np.random.default_rng((seed, position, split == "test", 64))
        yield build_example(items[idx], inputs, outputs, split, generator, f"{split}-{seed}-{position}")


def _make_of_group(group: str, split: Split, generator: np.random.Generator, example_id: str) -> Example:
    if group == "live":
        return make_live(split, generator, example_id)
    if group.startswith("live_"):
        return make_live(split, generator, example_id, group.removeprefix("live_"))
    if group == "looking":
        return make_looking(split, generator, example_id)
    if group == "knowing":
        return make_knowing(split, generator, example_id)
    if group == "reading":
        outputs = "audio" if generator.random() < 0.7 else "text+audio"
        return build_example(
            choose(generator, list_items("read_aloud", split)), "text", outputs, split, generator, example_id
        )
    if group == "writing":
        return build_example(
            choose(generator, list_items("write_down", split)), "audio", "text", split, generator, example_id
        )
    inputs, outputs = group.split(" -> ")
    if inputs == MUMBLED:
        return _make_mumbled(outputs, split, generator, example_id)
    if inputs == WORDINGS:
        items = list_typed_aloud("fact") if split == "train" else list_items("fact", split)
        return build_example(choose(generator, items), "audio", outputs, split, generator, example_id)
    if inputs == "text" and "image" in outputs.split("+") and split == "train":
        return build_example(draw_typed(split, generator), inputs, outputs, split, generator, example_id)
    task = _choose_task(inputs, outputs, generator)
    items = list_items(task, split)
    if split == "train" and "audio" in inputs.split("+") and generator.random() < _REWORDED_SHARE:
        items = list_reworded(task) or items
    return build_example(choose(generator, items), inputs, outputs, split, generator, example_id)


def _choose_task(inputs: str, outputs: str, generator: np.random.Generator) -> str:
    tasks = list_cell_tasks(inputs, outputs)
    shares = np.array(list(tasks.values()))
    return list(tasks)[int(generator.choice(len(shares), p=shares / shares.sum()))]


def _make_mumbled(outputs: str, split: Split, generator: np.random.Generator, example_id: str) -> Example:
    """What is asked in speech whose words are in the transcript alone, in the wordings of typed questions."""
    if "image" in outputs.split("+"):
        item = draw_typed(split, generator)
    else:
        item = choose(generator, list_items(_choose_task("audio", outputs, generator), split))
    if item.ask and item.task != "write_down":
        item = replace(item, ask=type_question(item, split, generator))
    return build_example(item, "audio", outputs, split, generator, example_id, voice=MUMBLED_VOICE)


def build_example(
    item: Item,
    inputs: str,
    outputs: str,
    split: Split,
    generator: np.random.Generator,
    example_id: str,
    *,
    voice: str = "",
) -> Example:
    """The item asked in `inputs` and answered in `outputs` (`text+image`, say), drawn and timed by `generator`. voice: of the user;
    empty: any of the split."""
    given, wanted = frozenset(inputs.split("+")), frozenset(outputs.split("+"))
    speeches: list[Speech] = []
    parts, is_new_style = _show(item, split, generator)
    parts += _ask(item, given, split, generator, speeches, voice)
    reply = _reply(item, wanted, split, generator, speeches)
    messages = (Message("user", tuple(parts)), Message("assistant", tuple(reply)))
    if item.system:
        messages = (system(item.system), *messages)
    marks = ("-new_style" if is_new_style else "") + (
        "-new_phrasing" if item.is_new and not given <= {"image", "video"} else ""
    )
    return Example(
        f"{example_id}-{item.task}{marks}",
        item.task,
        split,
        given,
        wanted,
        Conversation(messages),
        _answer_for(item, wanted),
        tuple(speeches),
        caption=item.say if wanted == {"image"} else "",
    )


def _show(item: Item, split: Split, generator: np.random.Generator) -> tuple[list[Part], bool]:
    """What is shown or sounded before the question, and whether its style is test-only."""
    if item.sound is not None:
        return [render_sound(replace(item.sound, seed=int(generator.integers(2**31)) * 2 + (split == "test")))], False
    if item.scene is None and item.film is None:
        return [], False
    style, is_new = choose_style(split, generator)
    if item.film is not None:
        return [draw_film(list(item.film.frames), style)], is_new
    assert item.scene is not None
    return [draw_scene(item.scene, style)], is_new


def _ask(
    item: Item, given: Modalities, split: Split, generator: np.random.Generator, speeches: list[Speech], voice: str
) -> list[Part]:
    if given <= {"image", "video"}:
        return []
    if "audio" in given:
        # dictation under a system message: what is said is what is to be written
        words = item.ask or (item.say if item.task == "write_down" else "")
        if not words:
            return []
        is_clean = generator.random() < (0.3 if split == "train" else 0.7)
        voice = voice or any_voice(split, int(generator.integers(TAKES[split])))
        speeches.append(Speech(words, voice, None if is_clean else int(generator.integers(2**31))))
        return [unrendered(speeches[-1])]
    if item.task == "read_aloud":
        return [Text(item.ask)]
    return [Text(type_question(item, split, generator))]


def _reply(
    item: Item, wanted: Modalities, split: Split, generator: np.random.Generator, speeches: list[Speech]
) -> list[Part]:
    parts: list[Part] = []
    if "text" in wanted:
        parts.append(Text(item.say))
    if "audio" in wanted:
        speeches.append(Speech(item.say, PRESET_VOICE))
        parts.append(unrendered(speeches[-1]))
    if "image" in wanted:
        assert item.target is not None, f"task {item.task} draws nothing"
        parts.append(draw_scene(item.target, OWN_STYLE))
    return parts


def _answer_for(item: Item, wanted: Modalities) -> Answer:
    return replace(item.answer, kind="picture") if wanted == {"image"} else item.answer
