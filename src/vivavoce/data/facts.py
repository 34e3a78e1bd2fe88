"""Spoken and typed questions about the world: facts of `facts.yaml`, and sums, orders, spellings and sizes made here.

A question's wording says its split. Every fact occurs in training in at least one wording; tests ask it in others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from vivavoce.data.answers import Answer
from vivavoce.data.example import Split
from vivavoce.data.items import Item, choose_by_text, load_table, other_numbers, split_of_wording
from vivavoce.data.scenes import list_written
from vivavoce.spoken import say_number

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december")  # fmt: skip
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth")  # fmt: skip
_BY_SIZE = (
    "an ant", "a bee", "a mouse", "a frog", "a bird", "a rabbit", "a cat", "a goat", "a pig", "a lion", "a cow", "a horse",
    "a camel", "an elephant", "a whale",
)  # fmt: skip
_KINDS = {
    "a fruit": "apple banana pear peach plum cherry lemon orange grape melon",
    "a vegetable": "carrot potato onion cabbage pea bean spinach pepper",
    "an animal": "dog cat cow horse lion tiger bear frog",
    "a tool": "hammer saw drill shovel rake wrench",
    "a vehicle": "car bus train truck plane boat",
    "a colour": "red blue green yellow pink purple",
    "a toy": "doll kite puzzle puppet balloon",
    "an instrument": "piano violin drum guitar trumpet flute",
    "a body part": "arm leg nose ear hand foot",
    "a job": "teacher doctor baker pilot farmer",
}


def list_facts(split: Split) -> list[Item]:
    """Every question of a split, in a fixed order. What is typed in training is never what a test asks, of this fact or another."""
    items = [item for make in _FAMILIES for item in make()]
    is_tested = [item.is_new or split_of_item(item) == "test" for item in items]
    held_out = {item.ask.rstrip(".?") for item, tested in zip(items, is_tested) if tested}
    return [
        replace(item, typed=tuple(wording for wording in item.typed if wording.rstrip(".?") not in held_out))
        for item, tested in zip(items, is_tested)
        if tested == (split == "test")
    ]


def split_of_item(item: Item) -> Split:
    """By the question's digest, but a fact's first wording and those of `wordings.yaml` are always for training."""
    return "train" if item.system == "kept" else split_of_wording(item.ask)


def _ask(family: str, asks: list[str], news: list[str], say: str, answer: Answer, **slots: str) -> Iterator[Item]:
    reply = say.format(**slots)
    answer = replace(answer, text=reply)
    typed = tuple(form.format(**slots) for form in load_table("wordings")["facts"][family])
    for order, form in enumerate((*asks, *news)):
        is_new = order >= len(asks)
        # `system` carries the mark of a wording that training keeps until the pool is made
        mark = "kept" if order == 0 else ""
        yield Item(f"fact_{family}", form.format(**slots), reply, answer, is_new=is_new, system=mark, typed=typed)
    # one of the others is spoken, too
    yield Item(f"fact_{family}", choose_by_text(typed, reply, 2), reply, answer, system="kept", typed=typed)


def _tabled() -> Iterator[Item]:
    for family, table in load_table("facts").items():
        rows = [_split_row(row) for row in table["rows"]]
        for x, alternatives in rows:
            shown = alternatives[0]
            rivals: tuple[str, ...] = ()
            if table["rivals"] == "answers":
                rivals = tuple(sorted({first for _, (first, *_) in rows} - set(alternatives)))
            elif table["rivals"] == "numbers":
                value = _NUMBER_OF.get(shown)
                rivals = other_numbers(value) if value is not None else other_numbers(0)
            # words of the question may be said back
            rivals = tuple(rival for rival in rivals if rival not in x.split())
            yield from _ask(
                family,
                table["ask"],
                table["ask_new"],
                table["say"][0],
                Answer("keys", "", (alternatives,), rivals),
                x=x,
                a=shown,
            )


_NUMBER_OF = {say_number(value): value for value in range(100)}


def _split_row(row: str) -> tuple[str, tuple[str, ...]]:
    x, answer = row.split(" = ") if " = " in row else row.split(" ")
    return x, tuple(answer.split("|"))


def _sums() -> Iterator[Item]:
    for a in range(1, 11):
        for b in range(1, 11):
            yield from _sum(a, b, a + b, "plus", ["what is {x} plus {y}?", "how much is {x} plus {y}?", "add {x} and {y}.", "{x} plus {y} is what?"], ["what do {x} and {y} make together?"])  # fmt: skip
            if a >= b:
                yield from _sum(a, b, a - b, "minus", ["what is {x} minus {y}?", "how much is {x} minus {y}?", "take {y} from {x}.", "{x} minus {y} is what?"], ["what is left of {x} without {y}?"])  # fmt: skip
            if 1 <= a <= 6 and 1 <= b <= 6:
                yield from _sum(a, b, a * b, "times", ["what is {x} times {y}?", "how much is {x} times {y}?", "multiply {x} and {y}.", "{x} times {y} is what?"], ["what do you get for {x} times {y}?"])  # fmt: skip


def _sum(a: int, b: int, result: int, name: str, asks: list[str], news: list[str]) -> Iterator[Item]:
    x, y, z = say_number(a), say_number(b), say_number(result)
    forms = (z, "none") if result == 0 else (z,)
    answer = Answer("keys", "", (forms,), other_numbers(a, b, result, up_to=40))
    # saying the sum back must not count as an answer, so then the key follows `is` or stands alone
    if result in (a, b):
        answer = replace(answer, keys=((f"is {z}", f"={z}"),))
    yield from _ask(name, asks, news, "{x} " + name + " {y} is {a}.", answer, x=x, y=y, a=z)


def _orders() -> Iterator[Item]:
    for family, names in (("day", _DAYS), ("month", _MONTHS)):
        for idx, name in enumerate(names):
            after, before = names[(idx + 1) % len(names)], names[idx - 1]
            asks = [
                "which {f} comes after {x}?",
                "what {f} is after {x}?",
                "what comes after {x}?",
                "tell me the {f} after {x}.",
            ]
            new = ["after {x}, which {f} is next?"]
            yield from _ask(
                f"{family}_after",
                asks,
                new,
                "after {x} comes {a}.",
                _among(names, after, name),
                f=family,
                x=name,
                a=after,
            )
            asks = [ask.replace("after", "before") for ask in asks]
            new = ["before {x}, which {f} was it?"]
            yield from _ask(
                f"{family}_before",
                asks,
                new,
                "before {x} comes {a}.",
                _among(names, before, name),
                f=family,
                x=name,
                a=before,
            )
    for idx, name in enumerate(_MONTHS):
        asks = [
            "which month is the {x}?",
            "what is the {x} month?",
            "name the {x} month of the year.",
            "tell me the {x} month.",
        ]
        new = ["the {x} month of a year, what is it called?"]
        yield from _ask(
            "month_number", asks, new, "the {x} month is {a}.", _among(_MONTHS, name), x=_ORDINALS[idx], a=name
        )


def _among(names, right: str, *said_back: str) -> Answer:
    return Answer("keys", "", ((right,),), tuple(name for name in names if name not in (right, *said_back)))


def _neighbours() -> Iterator[Item]:
    for value in range(31):
        for step, word in ((1, "after"), (-1, "before")):
            if value + step < 0:
                continue
            asks = [
                "which number comes {w} {x}?",
                "what number is {w} {x}?",
                "tell me the number {w} {x}.",
                "what comes right {w} {x}?",
            ]
            new = ["counting, what is just {w} {x}?"]
            right = value + step
            answer = Answer("keys", "", ((say_number(right),),), other_numbers(value, right, up_to=40))
            yield from _ask(
                f"number_{word}",
                asks,
                new,
                "{a} comes {w} {x}.",
                answer,
                w=word,
                x=say_number(value),
                a=say_number(right),
            )
    for value in range(1, 11):
        double, whole = say_number(2 * value), say_number(value)
        asks = ["what is the double of {x}?", "what is twice {x}?", "double {x}.", "how much is two times {x}?"]
        yield from _ask(
            "double",
            asks,
            ["what is {x} doubled?"],
            "twice {x} is {a}.",
            Answer("keys", "", ((double,),)),
            x=whole,
            a=double,
        )
        asks = ["what is half of {x}?", "how much is half of {x}?", "halve {x}.", "tell me half of {x}."]
        yield from _ask(
            "half",
            asks,
            ["what is {x} divided by two?"],
            "half of {x} is {a}.",
            Answer("keys", "", ((whole,),)),
            x=double,
            a=whole,
        )


def _spellings() -> Iterator[Item]:
    for word in list_written()[100:]:
        letters = " ".join(word)
        asks = ["spell {x}.", "how do you spell {x}?", "please spell the word {x}.", "which letters are in {x}?"]
        yield from _ask(
            "spell",
            asks,
            ["can you spell {x} for me?"],
            "{a}.",
            Answer("keys", "", ((letters, "".join(word)),)),
            x=word,
            a=letters,
        )
        if len(word) > 1:
            asks = [
                "what is the first letter of {x}?",
                "which letter does {x} start with?",
                "with which letter does {x} begin?",
            ]
            news = ["tell me how {x} begins, which letter?"]
            answer = Answer("keys", "", ((f"with {word[0]}", f"is {word[0]}", f"letter {word[0]}", f"={word[0]}"),))
            yield from _ask("first_letter", asks, news, "{x} starts with {a}.", answer, x=word, a=word[0])


def _sizes() -> Iterator[Item]:
    for low, small in enumerate(_BY_SIZE):
        for high in range(low + 2, len(_BY_SIZE)):
            big = _BY_SIZE[high]
            # the order in which the two are named says nothing: it alternates
            x, y = (small, big) if (low + high) % 2 else (big, small)
            for word, right, wrong in (("bigger", big, small), ("smaller", small, big)):
                asks = ["which is {w}, {x} or {y}?", "what is {w}, {x} or {y}?", "tell me which is {w}, {x} or {y}."]
                news = ["of {x} and {y}, which one is {w}?"]
                answer = Answer("keys", "", ((right.split()[1],),), (f"{wrong.split()[1]} is {word}",))
                yield from _ask(word, asks, news, "{a} is {w}.", answer, w=word, x=x, y=y, a=right)


def _kinds() -> Iterator[Item]:
    kinds = list(_KINDS)
    for order, (kind, members) in enumerate(_KINDS.items()):
        for place, member in enumerate(members.split()):
            name = member if kind == "a colour" else f"{'an' if member[0] in 'aeiou' else 'a'} {member}"
            asks = [
                "what kind of thing is {x}?",
                "what sort of thing is {x}?",
                "is {x} {k} or {other}?",
                "tell me what kind of thing {x} is.",
            ]
            other = kinds[(order + place + 1) % len(kinds)]
            rivals = tuple(rival for rival in kinds if rival != kind)
            answer = Answer("keys", "", ((kind.split(" ", 1)[1],),), rivals)
            news = ["{x}, what kind of thing would that be?"]
            yield from _ask("kind", asks, news, "{x} is {k}.", answer, x=name, k=kind, other=other)
            for is_true, asked in ((True, kind), (False, other)):
                asks = ["is {x} {k}?", "would you say {x} is {k}?", "is it true that {x} is {k}?"]
                say = "yes, {x} is {k}." if is_true else "no, {x} is {right}."
                answer = Answer("keys", "", (("yes",) if is_true else ("no",),), ("no",) if is_true else ("yes",))
                yield from _ask("is_kind", asks, ["do we call {x} {k}?"], say, answer, x=name, k=asked, right=kind)


_FAMILIES: tuple[Callable[[], Iterator[Item]], ...] = (_tabled, _sums, _orders, _neighbours, _spellings, _sizes, _kinds)
