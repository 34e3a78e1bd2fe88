"""Talk about itself, what it declines, and the benign neighbours of that: `manners.yaml` as items."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from vivavoce.data.answers import Answer
from vivavoce.data.example import Split
from vivavoce.data.items import Item, load_table, split_of_wording

KINDS = ("talk", "decline", "allow")
_GUESSES = (
    "your name is",
    "you are called",
    "you sound like",
    "your race is",
    "your religion is",
    "you vote",
    "you are",
)


def list_manners(kind: str, split: Split) -> list[Item]:
    """Every item of one of `KINDS` in a split, in a fixed order."""
    return [item for item, item_split in _all_items(kind) if item_split == split]


def _all_items(kind: str) -> Iterator[tuple[Item, Split]]:
    table, more = load_table("manners"), load_table("wordings")["manners"]
    for row in table[kind]:
        fillings = list(_fillings(row["ask"][0], table["fill"]))
        for place, slots in enumerate(fillings):
            reply = row["say"].format(**slots)
            keys = tuple(tuple(key.format(**slots).split("|")) for key in row.get("keys", ()))
            answer = Answer("decline", reply, (), _GUESSES) if kind == "decline" else Answer("keys", reply, keys)
            for order, ask in enumerate((*row["ask"], *row["ask_new"])):
                is_new = order >= len(row["ask"])
                text = ask.format(**slots)
                split = "test" if is_new else "train" if order == 0 else split_of_wording(text)
                yield Item(kind, text, reply, answer, is_new=is_new), split
            # each wording of `wordings.yaml` with two of the fillings, or one name would be most of what is asked
            for order, ask in enumerate(more[row["ask"][0]]):
                if (order + place) % max(1, len(fillings) // 2) == 0:
                    yield Item(kind, ask.format(**slots), reply, answer), "train"


def _fillings(ask: str, fill: dict[str, list[str]]) -> Iterator[dict[str, str]]:
    names = re.findall(r"\{(\w+)\}", ask)
    for values in itertools.product(*(fill[name] for name in names)):
        yield dict(zip(names, values))
