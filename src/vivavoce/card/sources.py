"""Public evaluation sets by address and digest, and the authored samples that ship.

`DataSource` is what an evaluation loads from: a folder given by `--data`, each file checked against its pinned digest before
a row is read, and the authored rows of the package. It remembers what it read, for the card.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from vivavoce.card.evaluation import Item
from vivavoce.errors import DataError, EndpointError
from vivavoce.files import write_bytes

MAX_DOWNLOAD_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A row of sources.yaml. `sha256` is of the file as kept, `unpacked_sha256` of what it holds if kept gzipped."""

    path: str
    rows: str
    licence: str
    url: str
    sha256: str
    feeds: tuple[str, ...] = ()
    unpacked_sha256: str = ""


def read_package_file(*names: str) -> str:
    """Text of a data file of this room."""
    return resources.files("vivavoce.card").joinpath(*names).read_text(encoding="utf-8")


@cache
def list_source_files() -> dict[str, SourceFile]:
    """Every public file by its path below the data folder."""
    rows = yaml.safe_load(read_package_file("sources.yaml"))["sources"]
    return {row["path"]: SourceFile(**{**row, "feeds": tuple(row.get("feeds", ()))}) for row in rows}


class DataSource:
    """Where items come from. `root` is the folder of public sets, or None for the authored samples alone."""

    def __init__(self, root: Path | str | None = None) -> None:
        self.root = Path(root) if root else None
        self.used: dict[str, str] = {}
        if self.root is not None and not self.root.is_dir():
            raise DataError(f"data folder {self.root} does not exist; `viva card fetch --out FOLDER` fills one")

    def has(self, *paths: str) -> bool:
        """Whether all these public files are in the folder."""
        return self.root is not None and all((self.root / path).is_file() for path in paths)

    def read_bytes(self, path: str) -> bytes:
        """A public file, unpacked if gzipped.

        Raises: DataError if it is not there or its digest is not the pinned one.
        """
        assert self.root is not None, "has() comes first"
        known = list_source_files().get(path)
        if known is None:
            raise DataError(f"{path} is no known public set; see sources.yaml")
        data = (self.root / path).read_bytes()
        digest, pinned = _digest(data, known), _pinned(known)
        if digest != pinned:
            raise DataError(f"{self.root / path} has sha256 {digest}; pinned is {pinned}; fetch it again")
        self.used[path] = digest
        return gzip.decompress(data) if known.unpacked_sha256 else data

    def read_jsonl(self, path: str) -> list[dict[str, Any]]:
        """Rows of JSON lines, split on newline only: texts may hold U+2028."""
        lines = self.read_bytes(path).decode("utf-8").split("\n")
        return [json.loads(line) for line in lines if line.strip()]

    def read_json(self, path: str) -> Any:
        """A JSON file."""
        return json.loads(self.read_bytes(path))

    def read_csv(self, path: str) -> list[dict[str, str]]:
        """Rows of a CSV file with a header."""
        return list(csv.DictReader(io.StringIO(self.read_bytes(path).decode("utf-8-sig"), newline="")))

    def read_rows(self, path: str, delimiter: str = ",") -> list[list[str]]:
        """Rows of a CSV or TSV file without a header."""
        text = self.read_bytes(path).decode("utf-8-sig")
        quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting))

    def read_lines(self, path: str) -> list[str]:
        """Lines of a text file."""
        return [line for line in self.read_bytes(path).decode("utf-8").split("\n") if line.strip()]

    def authored(self, name: str) -> list[Item]:
        """The authored items `authored/NAME.jsonl`, written for this project."""
        text = read_package_file("authored", f"{name}.jsonl")
        self.used[f"authored/{name}"] = hashlib.sha256(text.encode()).hexdigest()
        return [Item.from_json(json.loads(line)) for line in text.split("\n") if line.strip()]

    def own_items(self, evaluation_id: str) -> list[Item]:
        """Items that a user added, `redteam/EVALUATION.jsonl` below the data folder; their digest is kept, not pinned."""
        path = self.root / "redteam" / f"{evaluation_id}.jsonl" if self.root else None
        if path is None or not path.is_file():
            return []
        text = path.read_text(encoding="utf-8")
        self.used[f"redteam/{path.name}"] = hashlib.sha256(text.encode()).hexdigest()
        try:
            return [Item.from_json(json.loads(line)) for line in text.split("\n") if line.strip()]
        except (json.JSONDecodeError, TypeError) as error:
            raise DataError(f"{path} holds a line that is no item ({error}); export it again") from error


class Fetched(NamedTuple):
    """What became of one public file."""

    source: SourceFile
    state: str
    """`fetched`, `present`, or `failed`."""
    why: str = ""


def fetch_sources(out: Path, *, only: tuple[str, ...] = (), timeout_s: float = 60.0) -> Iterator[Fetched]:
    """Download the public sets into `out`, each whole or not at all; one that can't be had doesn't keep the rest back.

    only: evaluations whose files are wanted; all when empty.
    """
    for source in list_source_files().values():
        if only and not set(only) & set(source.feeds):
            continue
        target = out / source.path
        if target.is_file() and _digest(target.read_bytes(), source) == _pinned(source):
            yield Fetched(source, "present")
            continue
        try:
            data = _download_pinned(source, timeout_s)
        except (DataError, EndpointError) as error:
            yield Fetched(source, "failed", " ".join(str(error).split()))
            continue
        write_bytes(target, gzip.compress(data, mtime=0) if source.unpacked_sha256 else data)
        yield Fetched(source, "fetched")


def _pinned(source: SourceFile) -> str:
    return source.unpacked_sha256 or source.sha256


def _download_pinned(source: SourceFile, timeout_s: float) -> bytes:
    data = _download(source.url, timeout_s)
    digest = hashlib.sha256(data).hexdigest()
    if digest != _pinned(source):
        raise DataError(
            f"{source.url} has sha256 {digest}; pinned is {_pinned(source)}; the file changed or was cut short"
        )
    return data


def _download(url: str, timeout_s: float) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            data = answer.read(MAX_DOWNLOAD_BYTES + 1)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise EndpointError(f"cannot fetch {url} ({error}); check the network and try again") from error
    if len(data) > MAX_DOWNLOAD_BYTES:
        raise DataError(f"{url} is over {MAX_DOWNLOAD_BYTES} bytes; no set is that large")
    return data


def _digest(data: bytes, source: SourceFile) -> str:
    """The digest that identifies a file: of what it holds where it is kept gzipped, since compressors differ."""
    if source.unpacked_sha256:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError):
            return f"unreadable gzip of {len(data)} bytes"
    return hashlib.sha256(data).hexdigest()
