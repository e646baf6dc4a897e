"""The connection to the database: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import json
import math
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session

from gesso.errors import InvalidInputError
from gesso.store.errors import from_database, from_file, is_passing
from gesso.store.schema import Base

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


T = TypeVar("T")
BUSY_S = 10.0
"""How long a statement waits for another connection's lock."""
TRIES = 5
"""How often a transaction is begun again after a deadlock."""
OLDEST_SQLITE = (3, 35, 0)
"""UPDATE … RETURNING."""


def database_url(given: str, path: Path) -> URL:
    """The URL of the database: `given` (a setting), or the SQLite file at `path` when that is empty."""
    if not given:
        return URL.create("sqlite", database=str(path))
    try:
        url = make_url(given)
    except ArgumentError:
        raise InvalidInputError(
            "The setting database_url is no URL.", hint="Example: postgresql://user:password@localhost/gesso"
        ) from None
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite":
        return url
    raise InvalidInputError(f"gesso keeps its jobs in SQLite or PostgreSQL, not in {url.get_backend_name()}.")


class Database:
    """Transactions against one database. Every error of driver or disk leaves here as a StorageError."""

    def __init__(self, url: URL, *, busy_s: float = BUSY_S) -> None:
        self.url, self.busy_s = url, busy_s
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.engine = self._sqlite() if self.is_sqlite else self._postgresql()

    @property
    def where(self) -> str:
        """The database's name in messages: no password."""
        return str(self.url.database) if self.is_sqlite else self.url.render_as_string(hide_password=True)

    def _sqlite(self) -> Engine:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise InvalidInputError(f"SQLite 3.35 or newer is needed; this Python has {sqlite3.sqlite_version}.")
        if self.url.database:
            try:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise from_file(error, Path(self.url.database).parent) from error
        engine = create_engine(self.url, connect_args={"timeout": self.busy_s}, json_serializer=to_json)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _postgresql(self) -> Engine:
        try:
            # The timeouts are PostgreSQL's own settings: a lock that is never given back must not hang the queue.
            options = f"-c lock_timeout={int(self.busy_s * 1000)} -c idle_in_transaction_session_timeout=60000"
            return create_engine(
                self.url, pool_pre_ping=True, json_serializer=to_json,
                connect_args={"options": options, "connect_timeout": 10},
            )  # fmt: skip
        except (ModuleNotFoundError, NoSuchModuleError):
            raise InvalidInputError(
                "PostgreSQL needs the package psycopg.", hint="Install it: pip install 'gesso[postgres]'"
            ) from None

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction that sees one state of the database and changes nothing."""
        return self._transaction(work, writes=False)

    def write(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction of its own; begun again after a deadlock, so `work` must be repeatable.

        Committed and on disk when this returns; undone when `work` raises. StorageError when the database refuses.
        """
        return self._transaction(work, writes=True)

    def _transaction(self, work: Callable[[Session], T], *, writes: bool) -> T:
        for attempt in range(TRIES):
            try:
                with self.engine.connect() as connection:
                    connection = connection.execution_options(gesso_writes=writes)
                    with Session(connection, expire_on_commit=False) as session, session.begin():
                        return work(session)
            except DBAPIError as error:
                if attempt + 1 == TRIES or not is_passing(error) or self.is_sqlite:
                    raise from_database(error, self.where) from error
                time.sleep(random.uniform(0.01, 0.05) * 2**attempt)
        raise AssertionError("unreachable")

    def upsert(self, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
        """INSERT with ON CONFLICT, which both databases have and SQLAlchemy's common INSERT has not."""
        if self.is_sqlite:
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # a tenth of a second that nobody with a file need wait

        return postgresql.insert(table)

    def close(self) -> None:
        """Give every connection back. SQLite then folds its write-ahead log into the database file."""
        self.engine.dispose()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Settings of a new SQLite connection.

    WAL: readers never wait for the writer. synchronous=FULL: a commit is on the disk when it returns, so that a job
    that was accepted, or an artifact that was reported, outlives a power cut too; NORMAL would lose the last commits
    then (not after a mere kill). Commits are few, one for many events, so that the fsync does not show.
    """
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver's guess
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    """A writer takes the lock at once: a transaction that reads first and writes later could not wait for it."""
    writes = connection.get_execution_options().get("gesso_writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def to_json(value: Any) -> str:
    """JSON that every database takes: NaN and infinities, which JSON does not know, become null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_without_nan(value), allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, (list, tuple)) else value
