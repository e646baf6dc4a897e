"""Bring the database to this program's schema at start-up, or refuse with a reason."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, select, table, text
from sqlalchemy import column as sql_column
from sqlalchemy.exc import DBAPIError

from gesso.store.database import Database
from gesso.store.errors import NewerDatabaseError, from_database
from gesso.store.schema import SCHEMA

MIGRATIONS = Path(__file__).with_name("migrations")
ADVISORY_LOCK = 0x67657373  # "gess"
VERSIONS = table("alembic_version", sql_column("version_num"))


def upgrade(database: Database) -> bool:
    """Upgrade the schema in one transaction under a lock; True when something was done.

    Two programs that start at once wait for each other; a kill in between leaves the old schema whole. Raises
    NewerDatabaseError, StorageError.
    """
    try:
        with database.engine.connect() as connection:
            if current(connection.execution_options(gesso_writes=False)) == SCHEMA:
                return False
        with database.engine.begin() as connection:  # SQLite: BEGIN IMMEDIATE, the lock
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            found = current(connection)
            if found == SCHEMA:
                return False
            _run_migrations(connection, found, database.where)
            return True
    except DBAPIError as error:
        raise from_database(error, database.where) from error


def current(connection: Connection) -> str:
    """The schema a database has; "" for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(select(VERSIONS.c.version_num)).scalar() or ""


def _run_migrations(connection: Connection, found: str, where: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found and found not in known:
        raise NewerDatabaseError(
            f"The database {where} was written by a newer gesso (schema {found!r}; this program knows {SCHEMA!r}).",
            hint="Update gesso, or start with another data folder (GESSO_HOME).",
        )
    command.upgrade(config, "head")
