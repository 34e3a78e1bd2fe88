"""Triggers that refuse UPDATE and DELETE, for SQLite and PostgreSQL; a migration installs them per table."""

from __future__ import annotations

from typing import Any

_POSTGRES_FUNCTION = """
CREATE OR REPLACE FUNCTION vivavoce_refuse_change() RETURNS trigger AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only; add a version instead', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END;
$$ LANGUAGE plpgsql
"""


def install_triggers(connection: Any, table: str) -> None:
    """Make `table` append-only on the connection's database (`op.get_bind()` in a migration).

    Raises: ValueError for another database than SQLite or PostgreSQL.
    """
    match connection.dialect.name:
        case "sqlite":
            for action in ("UPDATE", "DELETE"):
                connection.exec_driver_sql(
                    f"CREATE TRIGGER {table}_refuse_{action.lower()} BEFORE {action} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, 'table {table} is append-only; add a version instead'); END"
                )
        case "postgresql":
            connection.exec_driver_sql(_POSTGRES_FUNCTION.replace("%", "%%"))
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table}_refuse_change BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION vivavoce_refuse_change()"
            )
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table}_refuse_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION vivavoce_refuse_change()"
            )
        case other:
            raise ValueError(f"database is {other}; the store runs on sqlite and postgresql")
