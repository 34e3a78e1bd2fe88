"""Questions about pictures and films of the small world, with their answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from vivavoce.data.answers import Answer
from vivavoce.data.example import Split
from vivavoce.data.items import (
    Item,
    ask_about,
    choose,
    find_plural,
    group_forms,
    load_table,
    name_group,
    number_forms,
    other_colours,
    other_numbers,
    other_things,
    reply_to,
    thing_forms,
)
from vivavoce.data.reading import add_article
from vivavoce.data.scene import Group, Scene
from vivavoce.data.scenes import FILM_KINDS, Film, FilmKind, SceneKind, sample_film, sample_scene
from vivavoce.data.shapes import THINGS
from vivavoce.spoken import say_number

AT_PLACE = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
    "centre": "in the centre",
}
_RELATIONS = {"left": "left of", "right": "right of", "top": "above", "bottom": "below"}


def _ask_name(scene: Scene, split: Split, generator: np.random.Generator) -> Item:
    ask, is_new = ask_about("name", split, generator)
    return name_item("name", scene.groups[0], ask, is_new, scene=scene)


def name_item(
    task: str, group: Group, ask: str, is_new: bool, scene: Scene | None = None, film: Film | None = None
) -> Item:
    """An item that asks for a thing's name and is answered with its colour and name."""
    say = reply_to(task, ask, a_c_n=name_group(Group(group.name, group.colour)))
    answer = Answer(
        "keys", say, (thing_forms(group.name), (group.colour,)), other_things(group.name) + other_colours(group.colour)
    )
    return Item(task, ask, say, answer, scene=scene, film=film, is_new=is_new)


def _ask_colour(scene: Scene, split: Split, generator: np.random.Generator) -> Item:
    group = choose(generator, scene.groups)
    ask, is_new = ask_about("colour", split, generator, n=group.name)
    say = reply_to("colour", ask, n=group.name, c=group.colour)
    return Item(
        "colour",
        ask,
        say,
        Answer("keys", say, ((group.colour,),), other_colours(group.colour)),
        scene=scene,
        is_new=is_new,
    )


def _ask_count(scene: Scene, split: Split, generator: np.random.Generator) -> Item:
    group = choose(generator, scene.groups)
    task = "count" if len(scene.groups) > 1 or generator.random() < 0.7 else "count_any"
    ask, is_new = ask_about(task, split, generator, ns=find_plural(group.name))
    return count_item(task, "count", group, ask, is_new, scene=scene)


def count_item(
    phrasing: str, task: str, group: Group, ask: str, is_new: bool, scene: Scene | None = None, film: Film | None = None
) -> Item:
    """An item that asks how many there are."""
    noun = group.name if group.count == 1 else find_plural(group.name)
    say = reply_to(phrasing, ask, num=say_number(group.count), ns=noun)
    if group.count == 1:
        say = say.replace("are one", "is one")
    answer = Answer("keys", say, (number_forms(group.count),), other_numbers(group.count))
    return Item(task, ask, say, answer, scene=scene, film=film, is_new=is_new)


def _ask_place(scene: Scene, split: Split, generator: np.random.Generator) -> Item:
    group = choose(generator, scene.groups)
    ask, is_new = ask_about("place", split, generator, n=group.name)
    say = reply_to("place", ask, n=group.name, at_place=AT_PLACE[group.place])
    rivals = tuple(place for place in AT_PLACE if place != group.place)
    return Item("place", ask, say, Answer("keys", say, ((group.place,),), rivals), scene=scene, is_new=is_new)


def _draw_size(split: Split, generator: np.random.Generator) -> Item:
    # sizes are sampled evenly here: `single` alone has two big ones to a small one
    group = sample_scene("single", split, generator).groups[0]
    scene = Scene((Group(group.name, group.colour, size=choose(generator, ("big", "small"))),))
    return _ask_size(scene, split, generator)


def _ask_size(scene: Scene, split: Split, generator: np.random.Generator) -> Item:
    group = scene.groups[0]
    ask, is_new = ask_about("size", split, generator, n=group.name)
    say = reply_to("size", ask, n=group.name, size=group.size)
    forms = {"big": ("big", "large"), "small": ("small", "little")}
    rivals = forms["small" if group.size == "big" else "big"]
    return Item("size", ask, say, Answer("keys", say, (forms[group.size],), rivals), scene=scene, is_new=is_new)


def _ask_existence(scene: Scene, split: Split, generator: np.random.Generator) -> Item:
    names = [group.name for group in scene.groups]
    is_there = bool(generator.random() < 0.5)
    name = (
        choose(generator, names) if is_there else choose(generator, [thing for thing in THINGS if thing not in names])
    )
    ask, is_new = ask_about("exists", split, generator, an=add_article(name))
    say = load_table("phrasings")["exists"]["say_yes" if is_there else "say_no"].format(an=add_article(name), n=name)
    answer = Answer("keys", say, (("yes",) if is_there else ("no",),), ("no",) if is_there else ("yes",))
    return Item("exists", ask, say, answer, scene=scene, is_new=is_new)


def _ask_relation(scene: Scene, split: Split, generator: np.random.Generator) -> Item:
    one, other = scene.groups if generator.random() < 0.5 else scene.groups[::-1]
    ask, is_new = ask_about("relation", split, generator, rel=_RELATIONS[one.place], n=other.name)
    say = reply_to("relation", ask, a_c_n=name_group(one))
    answer = Answer("keys", say, (thing_forms(one.name),), other_things(one.name, other.name))
    return Item("relation", ask, say, answer, scene=scene, is_new=is_new)


def _ask_writing(scene: Scene, split: Split, generator: np.random.Generator) -> Item:
    ask, is_new = ask_about("read", split, generator)
    shown = say_number(int(scene.written)) if scene.written.isdigit() else scene.written
    say = reply_to("read", ask, w=shown)
    return Item("read", ask, say, Answer("keys", say, ((shown,),)), scene=scene, is_new=is_new)


def _ask_description(scene: Scene, split: Split, generator: np.random.Generator) -> Item:
    ask, is_new = ask_about("describe", split, generator)
    return describe_item(scene, ask, is_new)


def describe_scene(scene: Scene) -> str:
    """`a red ball on the left`, `three blue cats`, `a red ball left of a blue cube`, `the number seven`."""
    if scene.written:
        return (
            f"the number {say_number(int(scene.written))}" if scene.written.isdigit() else f"the word {scene.written}"
        )
    first, *rest = scene.groups
    if rest:
        return f"{name_group(first)} {_RELATIONS[first.place]} {name_group(rest[0])}"
    if first.place != "centre":
        return f"{name_group(first)} {AT_PLACE[first.place]}"
    return name_group(first, has_size=first.size == "small" and first.count == 1)


def describe_item(scene: Scene, ask: str, is_new: bool) -> Item:
    """An item whose answer names everything in the scene: things with their colours, numbers and places."""
    say = f"{describe_scene(scene)}."
    keys: list[tuple[str, ...]] = [group_forms(group) for group in scene.groups]
    keys += [number_forms(group.count) for group in scene.groups if group.count > 1]
    if len(scene.groups) == 1 and scene.groups[0].place != "centre":
        keys.append((scene.groups[0].place,))
    names = [group.name for group in scene.groups]
    colours = [group.colour for group in scene.groups]
    answer = Answer("keys", say, tuple(keys), other_things(*names) + other_colours(*colours))
    return Item("describe", ask, say, answer, scene=scene, is_new=is_new)


def describe_film(film: Film) -> str:
    """`a red ball moves left`, `a blue cat appears`, `three stars become five`."""
    what = name_group(Group(film.group.name, film.group.colour))
    if film.kind == "move":
        return f"{what} moves {film.direction}"
    if film.kind in ("count_up", "count_down"):
        start = name_group(Group(film.group.name, film.group.colour, film.start_count))
        verb = "becomes" if film.start_count == 1 else "become"
        return f"{start} {verb} {say_number(film.group.count)}"
    return {"appear": f"{what} appears", "vanish": f"{what} vanishes", "still": f"{what} stays where it is"}[film.kind]


_EVENT_FORMS = {
    "move": (("moves", "move", "goes"),),
    "appear": (("appears", "appear", "comes"),),
    "vanish": (("vanishes", "vanish", "disappears", "goes away"),),
    "still": (("stays", "stay", "still", "happens"),),
}


def film_item(film: Film, ask: str, is_new: bool) -> Item:
    """An item whose answer says what happens."""
    say = f"{describe_film(film)}."
    keys: tuple[tuple[str, ...], ...] = _EVENT_FORMS.get(film.kind, ())
    if film.kind == "move":
        keys = (*keys, (film.direction,))
    elif film.kind in ("count_up", "count_down"):
        start = (*number_forms(film.start_count), *(("a", "an") if film.start_count == 1 else ()))
        keys = (("become", "becomes"), start, (say_number(film.group.count),))
    directions = (
        () if film.kind != "move" else tuple(way for way in ("left", "right", "up", "down") if way != film.direction)
    )
    name = film.group.name
    return Item(
        "film_event",
        ask,
        say,
        Answer("keys", say, (*keys, thing_forms(name)), other_things(name) + directions),
        film=film,
        is_new=is_new,
    )


def _ask_event(film: Film, split: Split, generator: np.random.Generator) -> Item:
    ask, is_new = ask_about("film_event", split, generator)
    return film_item(film, ask, is_new)


def _draw_event(split: Split, generator: np.random.Generator) -> Item:
    # the wording before the film: rendered pools keep their order of draws
    ask, is_new = ask_about("film_event", split, generator)
    return film_item(sample_film(choose(generator, FILM_KINDS), split, generator), ask, is_new)


def _ask_direction(film: Film, split: Split, generator: np.random.Generator) -> Item:
    ask, is_new = ask_about("film_direction", split, generator, n=film.group.name)
    say = reply_to("film_direction", ask, n=film.group.name, dir=film.direction)
    rivals = tuple(way for way in ("left", "right", "up", "down") if way != film.direction)
    return Item("film_direction", ask, say, Answer("keys", say, ((film.direction,),), rivals), film=film, is_new=is_new)


def _ask_film_thing(film: Film, split: Split, generator: np.random.Generator) -> Item:
    ask, is_new = ask_about("film_name", split, generator)
    return name_item("film_name", film.group, ask, is_new, film=film)


def _ask_film_count(film: Film, split: Split, generator: np.random.Generator) -> Item:
    ask, is_new = ask_about("film_count", split, generator, ns=find_plural(film.group.name))
    return count_item("film_count", "film_count", film.group, ask, is_new, film=film)


Kind = TypeVar("Kind", bound=str)
Seen = TypeVar("Seen", Scene, Film)


@dataclass(frozen=True, slots=True)
class SeeingTask(Generic[Kind, Seen]):
    """A question about a picture or a film.

    sample: makes one of a kind. kinds: that it can be asked about; one named twice is drawn twice as often. ask: the
    question about one. draw: another way to one and the question.
    """

    sample: Callable[[Kind, Split, np.random.Generator], Seen]
    kinds: tuple[Kind, ...]
    ask: Callable[[Seen, Split, np.random.Generator], Item]
    draw: Callable[[Split, np.random.Generator], Item] | None = None

    def make(self, split: Split, generator: np.random.Generator) -> Item:
        """A picture or film, and the question about it."""
        if self.draw is not None:
            return self.draw(split, generator)
        return self.ask(self.sample(choose(generator, self.kinds), split, generator), split, generator)


PICTURE_TASKS: dict[str, SeeingTask[SceneKind, Scene]] = {
    "name": SeeingTask(sample_scene, ("single", "single", "placed"), _ask_name),
    "colour": SeeingTask(sample_scene, ("single", "placed", "pair"), _ask_colour),
    "count": SeeingTask(sample_scene, ("many", "many", "many", "groups", "single"), _ask_count),
    "place": SeeingTask(sample_scene, ("placed", "placed", "pair"), _ask_place),
    "size": SeeingTask(sample_scene, ("single",), _ask_size, _draw_size),
    "exists": SeeingTask(sample_scene, ("single", "many", "pair"), _ask_existence),
    "relation": SeeingTask(sample_scene, ("pair",), _ask_relation),
    "read": SeeingTask(sample_scene, ("digits", "word"), _ask_writing),
    "describe": SeeingTask(sample_scene, ("single", "placed", "many", "pair", "pair"), _ask_description),
}
FILM_TASKS: dict[str, SeeingTask[FilmKind, Film]] = {
    "film_event": SeeingTask(sample_film, FILM_KINDS, _ask_event, _draw_event),
    "film_direction": SeeingTask(sample_film, ("move",), _ask_direction),
    "film_name": SeeingTask(sample_film, ("move", "appear", "vanish", "still"), _ask_film_thing),
    "film_count": SeeingTask(sample_film, ("count_up", "count_down"), _ask_film_count),
}
