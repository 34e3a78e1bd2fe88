"""Stores for the tests: SQLite in a temporary file, and a private PostgreSQL cluster where Debian's package is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vivavoce.critique.store import Store, open_store


def _postgres_bin() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return folders[-1] if folders else None


def _as_unprivileged(arguments: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root; Debian's package makes the user postgres."""
    if os.geteuid() != 0:
        return arguments
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *arguments]


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """The socket directory of a cluster that lives as long as the test session; no TCP port is opened."""
    binaries = _postgres_bin()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("running as root without setpriv; PostgreSQL needs an unprivileged user")
    folder = Path(tempfile.mkdtemp(prefix="vvpg"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"
    subprocess.run(
        _as_unprivileged([str(binaries / "initdb"), "-D", str(data), "-U", "viva", "-A", "trust", "--no-sync", "-E", "UTF8"]),
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    control = [str(binaries / "pg_ctl"), "-D", str(data), "-w"]
    log = str(folder / "log")
    subprocess.run(
        _as_unprivileged([*control, "-l", log, "-o", options, "start"]),
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        # migrated once and copied for each test
        _create_database(str(folder), "migrated")
        open_store(f"postgresql+psycopg://viva@/migrated?host={folder}").close()
        yield str(folder)
    finally:
        subprocess.run(_as_unprivileged([*control, "-m", "immediate", "stop"]), capture_output=True, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)


def _create_database(socket: str, name: str, template: str = "template1") -> None:
    import psycopg

    with psycopg.connect(host=socket, user="viva", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")  # type: ignore[arg-type]


@pytest.fixture
def postgres_url(postgres_socket: str) -> str:
    """The URL of a fresh, migrated database; it goes with the cluster."""
    name = f"t{os.urandom(6).hex()}"
    _create_database(postgres_socket, name, "migrated")
    return f"postgresql+psycopg://viva@/{name}?host={postgres_socket}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh store, on both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A fresh store, on both databases."""
    with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    """A fresh store on SQLite alone, for what does not depend on the database."""
    with open_store(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture
def open_sqlite(tmp_path: Path) -> Callable[[str], Store]:
    """Opens named SQLite stores."""
    return lambda name: open_store(tmp_path / f"{name}.db")
