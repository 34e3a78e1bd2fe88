"""Opening a store by URL: SQLite by default, PostgreSQL by URL; migrations run when it is opened.

The study's migrations, where present, are a branch of their own that depends on the store's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from vivavoce.critique.store.tables import Base, Event, Versioned
from vivavoce.errors import ConfigError, DataError

_HERE = Path(__file__).resolve().parent
_SCRIPTS = _HERE / "migrations"
_STUDY_VERSIONS = _HERE.parent / "study" / "migrations" / "versions"
# chosen: any constant; two processes that open a fresh PostgreSQL store at once migrate one after the other
_MIGRATION_LOCK = 8_205_802


class Store:
    """An open store. `session()` is one transaction; `engine` is for those who need more."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sessions = sessionmaker(engine, expire_on_commit=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that commits at the end and rolls back on an exception."""
        with self._sessions.begin() as session:
            yield session

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_store(url: str | Path, *, pool_size: int = 10) -> Store:
    """The store at a database URL, or at a path (SQLite); created or migrated to the newest schema.

    Raises: ConfigError if the URL is not understood or the database cannot be reached or migrated.
    """
    try:
        parsed = make_url(url if isinstance(url, str) and "://" in url else f"sqlite:///{url}")
    except ArgumentError as error:
        raise ConfigError(f"database URL {url!r} is not understood; use sqlite:///FILE or postgresql://...") from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(f"database is {parsed.get_backend_name()}; the store runs on sqlite and postgresql")
    is_sqlite = parsed.get_backend_name() == "sqlite"
    if is_sqlite and parsed.database not in (None, "", ":memory:"):
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = (
        {} if is_sqlite else {"pool_size": pool_size, "max_overflow": pool_size, "pool_pre_ping": True}
    )
    engine = create_engine(parsed, **options)
    if is_sqlite:
        event.listen(engine, "connect", _set_sqlite_pragmas)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        migrate(engine)
    except DBAPIError as error:
        engine.dispose()
        shown = parsed.render_as_string(hide_password=True)
        raise ConfigError(
            f"cannot open the store {shown}: {error.orig}; is the database running and writable?"
        ) from error
    return Store(engine)


def _set_sqlite_pragmas(connection: Any, _: Any) -> None:
    # our own BEGIN below, because sqlite3 opens transactions late and then cannot upgrade a read to a write
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: two writers queue instead of failing half-way
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def alembic_config() -> Config:
    """Alembic's configuration: our scripts, and the study's where they are installed."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    folders = [_SCRIPTS / "versions", *([_STUDY_VERSIONS] if _STUDY_VERSIONS.is_dir() else [])]
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(str(folder) for folder in folders))
    return config


def migrate(engine: Engine, revision: str = "heads") -> None:
    """Bring the database to `revision`."""
    config = alembic_config()
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def record_event(
    session: Session, actor: str, kind: str, *, subject: Base | None = None, payload: dict[str, Any] | None = None
) -> Event:
    """Append one event; `subject` is a row that has its id already."""
    happened = Event(
        actor=actor,
        kind=kind,
        subject_table=subject.__tablename__ if subject is not None else None,
        subject_id=getattr(subject, "id", None),
        payload=payload or {},
    )
    session.add(happened)
    return happened


@event.listens_for(Session, "before_flush")
def _refuse_changes(session: Session, *_: object) -> None:
    for row in (*session.dirty, *session.deleted):
        is_guarded = isinstance(row, Versioned | Event)
        if is_guarded and (row in session.deleted or session.is_modified(row)):
            raise DataError(f"table {row.__tablename__} is append-only; add a version with revise()")  # type: ignore[attr-defined]
