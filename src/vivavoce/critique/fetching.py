"""Public sets by address and sha256: a file is either whole and as pinned, or absent."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from vivavoce.errors import AssetError, ConfigError
from vivavoce.files import digest_file, write_whole

MAX_BYTES = 64 * 2**20


def list_sets() -> dict[str, dict[str, Any]]:
    """The sets that can be fetched: licence, address, files with their sha256."""
    return yaml.safe_load((Path(__file__).parent / "public_sets.yaml").read_text(encoding="utf-8"))


class Fetched(NamedTuple):
    """A file that is there now, with its sha256; `is_verified` if that is the pinned one."""

    path: Path
    digest: str
    is_verified: bool


def fetch_set(
    name: str, folder: Path, *, local: Path | None = None, read: Callable[[str], bytes] | None = None
) -> list[Fetched]:
    """The files of a set in `folder`; those already there with the right digest are left alone.

    local: take the files from this folder instead of their address, by their path there or by name alone. A file whose
    digest we do not know comes only this way, and stays unverified. read: gives the bytes at an address (tests).
    Raises: ConfigError if the name is unknown, AssetError if a file cannot be had or has another digest.
    """
    sets = list_sets()
    if name not in sets:
        raise ConfigError(f"no public set {name!r}; there are {', '.join(sets)}")
    done = list[Fetched]()
    for file, digest in sets[name]["files"].items():
        path = folder / file
        address = sets[name]["address"].format(file=file)
        if local is not None:
            _copy(_find_local(local, file, sets[name]["files"]), path, digest)
        elif digest is None and not path.is_file():
            raise AssetError(
                f"no sha256 is known of {name}'s {file}, so it is not fetched; get it yourself from {address} "
                f"(into a folder, under {file}) and add --local FOLDER"
            )
        elif digest is not None and not (path.is_file() and digest_file(path) == digest):
            _fetch(address, path, digest, read or _download)
        done.append(Fetched(path, digest_file(path), digest is not None))
    return done


def _find_local(local: Path, file: str, files: Iterable[str]) -> Path:
    name = Path(file).name
    # by name alone only where that means one file: a release has three that are called train.jsonl.gz
    is_unique = sum(Path(other).name == name for other in files) == 1
    for path in [local / file, *([local / name] if is_unique else [])]:
        if path.is_file():
            return path
    raise AssetError(f"{local} holds no {file}; put it there, or leave --local out")


def _copy(source: Path, path: Path, digest: str | None) -> None:
    found = digest_file(source)
    if digest is not None and found != digest:
        raise AssetError(f"{source} has sha256 {found}, not the pinned {digest}; nothing was kept, do not use it")
    if path.is_file() and digest_file(path) == found:
        return
    with write_whole(path) as temporary:
        shutil.copyfile(source, temporary)


def _fetch(address: str, path: Path, digest: str, read: Callable[[str], bytes]) -> None:
    with write_whole(path) as temporary:
        temporary.write_bytes(read(address))
        found = digest_file(temporary)
        if found != digest:
            raise AssetError(f"{address} has sha256 {found}, not the pinned {digest}; nothing was kept, do not use it")


def _download(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=60) as response:
            data = response.read(MAX_BYTES + 1)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise AssetError(
            f"cannot fetch {address}: {error}; check the network, or put the file there by hand"
        ) from error
    if len(data) > MAX_BYTES:
        raise AssetError(f"{address} is larger than {MAX_BYTES} bytes; it is not the pinned file")
    return data
