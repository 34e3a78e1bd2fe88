"""A run directory: what was run, with what, and how to go on with it.

    config.json     resolved configuration and its digest
    about.json      commit, uncommitted diff's digest, versions, hardware, seeds, command; written anew at each start
    metrics.jsonl   one record a line, appended
    samples/        what the run made while it went on
    manifest.json   written last: its presence means the run is complete

A directory re-enters only with an equal configuration digest; otherwise it refuses and names the keys that differ.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from vivavoce.errors import ConfigError
from vivavoce.files import digest_json, write_json

_PACKAGES = ("torch", "transformers", "numpy", "onnxruntime", "trl", "inspect-ai")


class Run:
    """A run directory, opened for writing. See the module docstring for its files."""

    def __init__(self, path: Path, config: dict[str, Any], *, resumed: bool) -> None:
        self.path = path
        self.config = config
        self.resumed = resumed

    @classmethod
    def open(cls, path: Path | str, config: Any, *, resume: bool = False) -> Run:
        """Start a run in an empty or new directory, or re-enter one with `resume`.

        config: a dataclass or mapping that JSON can hold.
        Raises: ConfigError if the directory is in use and `resume` is false, or its configuration differs.
        """
        path = Path(path)
        plain = _as_plain(config)
        config_path = path / "config.json"
        if config_path.exists():
            if not resume:
                raise ConfigError(f"run directory {path} is in use; pass --resume to go on, or name another")
            _refuse_other_config(json.loads(config_path.read_text())["config"], plain, path)
        elif path.exists() and any(path.iterdir()):
            raise ConfigError(f"{path} holds files but no run (config.json is missing); name an empty directory")
        resumed = config_path.exists()
        (path / "samples").mkdir(parents=True, exist_ok=True)
        run = cls(path, plain, resumed=resumed)
        if not resumed:
            write_json(config_path, {"digest": run.digest, "config": plain})
        write_json(path / "about.json", describe_environment())
        return run

    @property
    def digest(self) -> str:
        """sha256 of the canonical configuration."""
        return digest_json(self.config)

    @property
    def is_complete(self) -> bool:
        """True once the manifest is there."""
        return (self.path / "manifest.json").exists()

    def log(self, **record: Any) -> None:
        """Append one record to metrics.jsonl. Names are `group/name_unit`."""
        with (self.path / "metrics.jsonl").open("a") as handle:
            handle.write(json.dumps(record, allow_nan=False) + "\n")

    def read_metrics(self) -> Iterator[dict[str, Any]]:
        """The records so far. A last line cut short by a kill is left out."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return

    def drop_metrics_after(self, step: int) -> None:
        """Forget records past `step` (their `step` key), so that a resumed run equals an uninterrupted one."""
        kept = [record for record in self.read_metrics() if record.get("step", 0) <= step]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        (self.path / "metrics.jsonl").write_text(text)

    def finish(self, **summary: Any) -> None:
        """Write the manifest: the run is complete."""
        write_json(self.path / "manifest.json", {"digest": self.digest, **summary})


def _as_plain(config: Any) -> dict[str, Any]:
    if is_dataclass(config) and not isinstance(config, type):
        config = asdict(config)
    if not isinstance(config, Mapping):
        raise ConfigError(f"run configuration is {type(config).__name__}; need a dataclass or a mapping")
    return json.loads(json.dumps(config, default=str))


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix.removesuffix("."): value}
    return {path: leaf for key, inner in value.items() for path, leaf in _flatten(inner, f"{prefix}{key}.").items()}


def _refuse_other_config(old: dict[str, Any], new: dict[str, Any], path: Path) -> None:
    if digest_json(old) == digest_json(new):
        return
    before, after = _flatten(old), _flatten(new)
    keys = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    changes = ", ".join(f"{key} ({before.get(key)!r} -> {after.get(key)!r})" for key in keys)
    raise ConfigError(f"{path} was started with another configuration: {changes}; use the old values or another path")


def describe_environment() -> dict[str, Any]:
    """Commit, versions, hardware and command of this process, as JSON."""
    return {
        "command": " ".join(sys.argv),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "diff_digest": digest_json(_git("diff", "HEAD")),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    root = Path(__file__).resolve().parents[2]
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
