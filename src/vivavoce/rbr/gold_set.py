"""The released gold set: 518 hand-labelled conversations, fetched from its public address, checked by digest.

Texts are synthetic but upsetting: nothing here prints or logs them; errors name file and line only.
Source: openai/safety-rbr-code-and-data at 7f489fa, MIT licence.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivavoce.content import Message, Text
from vivavoce.errors import AssetError, DataError
from vivavoce.files import digest_file, write_bytes
from vivavoce.rbr.graders.interface import Item
from vivavoce.rbr.rules import Rules

_ADDRESS = "https://raw.githubusercontent.com/openai/safety-rbr-code-and-data/7f489fa6b38d72468235f275c23bf3f0c849e5ca/"
SPLITS = ("train", "test")


@dataclass(frozen=True, slots=True)
class _Released:
    path: str
    sha256: str


RELEASED = {
    "train.jsonl": _Released(
        "data/rbr_gold_data/train.jsonl", "fa09c23e6cc9e612d2f8341b65cb1fccf752c325ece693fed6b702f7a8188690"
    ),
    "test.jsonl": _Released(
        "data/rbr_gold_data/test.jsonl", "c3478da9b13f0591a96eada18cacb15ec462ce724943defbec928e4fd6bd73ce"
    ),
    "proposition_prompts.yaml": _Released(
        "config/proposition_prompts.yaml", "49fddafdc90a0aea2fe5501ca68496fa0b1975930e1c144559f24cfd656d8204"
    ),
    "LICENSE": _Released("LICENSE", "a7ccbc0c2c70185a493d1a87ea15f913db98cef56a08069770ef891436706121"),
}
# the same files without the 54 rows of category C-R (illegal sexual content)
WITHOUT_CR = {
    "train.jsonl": "97f53dc5fa23448c41004f857cb9279aa954558303a78b94a481756fa103ecdb",
    "test.jsonl": "b708ec9571cf0b349e022eafd5614210042afc06720a4204d39798d68ca2a79b",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldRow:
    """A labelled completion. `where` is file and line."""

    item: Item
    response_type: str
    area: str
    labels: Mapping[str, bool]
    where: str


@dataclass(frozen=True, slots=True)
class GoldSplit:
    """One file of gold rows and which release it is, by digest."""

    rows: tuple[GoldRow, ...]
    release: str


def load_gold(folder: Path, split: str, rules: Rules) -> GoldSplit:
    """The rows of one split, response types under the policy's own names.

    Raises: DataError naming file and line of a row that does not fit; a file of another digest loads as `own`.
    """
    path = folder / f"{split}.jsonl"
    if not path.is_file():
        raise DataError(f"no gold set {path}; get the released one with `viva rbr fetch --out {folder}`")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            rows.append(_parse_row(line, f"{path}, line {number}", rules))
    if not rows:
        raise DataError(f"{path} holds no rows")
    digest, name = digest_file(path), path.name
    if name in RELEASED and digest == RELEASED[name].sha256:
        release = "released"
    elif digest == WITHOUT_CR.get(name):
        release = "released, category C-R left out"
    else:
        release = f"own ({digest[:12]})"
    return GoldSplit(tuple(rows), release)


def _parse_row(line: str, where: str, rules: Rules) -> GoldRow:
    try:
        row = json.loads(line)
        prompt = tuple(_parse_message(message) for message in row["prompt"])
        completion = row["completion"] if isinstance(row["completion"], str) else row["completion"][0]["content"]
        labels: dict[str, Any] = row["propositions"]
        kind = rules.find_response_type(row["response_type"]).name
        area = rules.find_content_area(row["category"]).name if row.get("category") else ""
    except (json.JSONDecodeError, KeyError, TypeError, IndexError, ValueError) as error:
        raise DataError(f"{where}: not a gold row ({type(error).__name__}: {error})") from error
    for name, value in labels.items():
        if name not in rules.propositions or not isinstance(value, bool):
            raise DataError(f"{where}: label {name} is {value!r}; need true or false of a proposition of {rules.name}")
    if not prompt or prompt[-1].role != "user":
        raise DataError(f"{where}: the prompt does not end with a user turn")
    return GoldRow(
        item=Item(prompt=prompt, completion=completion), response_type=kind, area=area, labels=labels, where=where
    )


def _parse_message(message: Mapping[str, Any]) -> Message:
    if message["role"] not in ("system", "user", "assistant"):
        raise ValueError(f"role is {message['role']!r}")
    return Message(message["role"], (Text(str(message["content"])),))


def fetch_gold(folder: Path) -> list[Path]:
    """Download the released files into `folder` and check their digests; files that are right already stay.

    Raises: AssetError if a file can't be had or its digest differs (both are named).
    """
    written = []
    for name, released in RELEASED.items():
        path = folder / name
        if path.is_file() and digest_file(path) == released.sha256:
            continue
        try:
            with urllib.request.urlopen(_ADDRESS + released.path, timeout=60) as answer:
                data = answer.read(10_000_000)
        except (urllib.error.URLError, TimeoutError, OSError) as error:
            raise AssetError(f"cannot fetch {_ADDRESS + released.path}: {error}; check the network") from error
        import hashlib

        if (found := hashlib.sha256(data).hexdigest()) != released.sha256:
            raise AssetError(f"{name} has sha256 {found}, pinned is {released.sha256}; refusing to keep it")
        write_bytes(path, data)
        written.append(path)
    return written
