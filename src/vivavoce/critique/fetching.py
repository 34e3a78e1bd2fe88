"""Public sets by address and sha256: a file is either whole and as pinned, or absent."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from vivavoce.errors import AssetError, ConfigError
from vivavoce.files import digest_file, write_whole

MAX_BYTES = 64 * 2**20


def list_sets() -> dict[str, dict[str, Any]]:
    """The sets that can be fetched: licence, address, files with their sha256."""
    return yaml.safe_load((Path(__file__).parent / "public_sets.yaml").read_text(encoding="utf-8"))


def fetch_set(name: str, folder: Path, *, read: Callable[[str], bytes] | None = None) -> list[Path]:
    """The files of a set in `folder`; those already there with the right digest are left alone.

    read: gives the bytes at an address (tests).
    Raises: ConfigError if the name is unknown, AssetError if a file cannot be had or has another digest.
    """
    sets = list_sets()
    if name not in sets:
        raise ConfigError(f"no public set {name!r}; there are {', '.join(sets)}")
    paths = list[Path]()
    for file, digest in sets[name]["files"].items():
        path = folder / file
        if not (path.is_file() and digest_file(path) == digest):
            _fetch(sets[name]["address"].format(file=file), path, digest, read or _download)
        paths.append(path)
    return paths


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
