"""`viva critique fetch`, `import`, `synthesise`, `show`: data into the store and out."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vivavoce.critique.fetching import fetch_set, list_sets
from vivavoce.critique.loaders.exporting import count_records
from vivavoce.critique.loaders.importing import ImportReport, import_path, import_records
from vivavoce.critique.loaders.records import LoadNotes
from vivavoce.critique.store import open_store
from vivavoce.critique.synthetic.registry import make_records, make_tasks
from vivavoce.errors import ConfigError, DataError
from vivavoce.files import write_json

FormatName = Literal["openai_release", "squality", "summedits", "bump", "bigbench_mistake", "gsm8k"]


def fetch(
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    *,
    folder: Path = Path("data/critique"),
    local: Path | None = None,
) -> None:
    """Get public sets by address and sha256.

    Args:
        names: sets to get; lists what there is when none is named.
        folder: where to put them, each in a folder of its name.
        local: take the files from this folder instead; the only way for sets whose sha256 we do not know.
    """
    if local is not None and len(names) != 1:
        raise ConfigError(f"--local goes with one set, not {len(names)}; name the set whose files are in {local}")
    if not names:
        for name, about in list_sets().items():
            how = "" if all(about["files"].values()) else " (bring your own copy: --local)"
            print(f"{name:<18}{len(about['files'])} files{how}; {about['licence']}")
    for name in names:
        for path, digest, is_verified in fetch_set(name, folder / name, local=local):
            print(f"{path}" if is_verified else f"{path}  not verified: no sha256 is known; this one has {digest}")


def import_(
    format: Annotated[FormatName, tyro.conf.Positional],
    path: Annotated[Path, tyro.conf.Positional],
    *,
    store: str = "critique.db",
    json: Path | None = None,
) -> int:
    """Read a set into the store; what is there already is skipped, what is broken is named. Exit code 1 if any was.

    Args:
        format: how the files are laid out.
        path: the folder or file.
        store: path of an SQLite file, or a database URL.
        json: write the report here, every refused line included.
    """
    with open_store(store) as opened:
        report = import_path(opened, format, path)
    if not (report.added or report.repeated or report.refused):
        raise DataError(f"{path} holds no row of the format {format}")
    return _print_report(report, json)


def synthesise(
    *, store: str = "critique.db", difficulty: Literal["quick", "full"] = "quick", num: int = 100, seed: int = 0,
    json: Path | None = None,
) -> int:  # fmt: skip
    """Write synthetic problems with planted flaws and oracle critiques into the store, every split.

    Args:
        store: path of an SQLite file, or a database URL.
        difficulty: quick or full.
        num: problems per task and split.
        seed: of the problems.
        json: write the report here.
    """
    if num < 1:
        raise ConfigError(f"num is {num}; need 1 or more problems per task and split")
    notes = LoadNotes()
    tasks = make_tasks(difficulty).values()
    records = (record for split in ("train", "validation", "test") for record in make_records(tasks, split, num, seed))
    with open_store(store) as opened:
        return _print_report(import_records(opened, records, notes, by="synthesise"), json)


def show(*, store: str = "critique.db", json: Path | None = None) -> None:
    """Passages in the store by source.

    Args:
        store: path of an SQLite file, or a database URL.
        json: write the counts here.
    """
    with open_store(store) as opened:
        counts = count_records(opened)
    for source, count in counts.items():
        print(f"{source:<28}{count}")
    if not counts:
        print(f"{store} holds nothing yet; `viva critique import` and `viva critique synthesise` fill it")
    if json is not None:
        write_json(json, counts)


def _print_report(report: ImportReport, json: Path | None) -> int:
    print("added    " + _list_counts(report.added))
    print("repeated " + _list_counts(report.repeated))
    for oddity, count in sorted(report.oddities.items()):
        print(f"noted    {count} x {oddity}")
    for place, reason in report.refused[:20]:
        print(f"refused  {place}: {reason}")
    if len(report.refused) > 20:
        print(f"refused  {len(report.refused) - 20} more; --json FILE lists them all")
    if json is not None:
        write_json(json, report.to_json())
    return 1 if report.refused else 0


def _list_counts(counts: dict[str, int]) -> str:
    return json_module.dumps(counts)[1:-1].replace('"', "") or "nothing"
