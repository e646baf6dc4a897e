"""What was found out about model files, kept over restarts: an SQLite file in the cache folder.

A row stands for a path with its size and time; when those change, it counts for nothing. It is a file of its own and
not in the job database, since paths mean something on one machine only and a database may serve several.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TABLE = """CREATE TABLE IF NOT EXISTS files
    (path TEXT PRIMARY KEY, size INTEGER, modified INTEGER, role TEXT, found TEXT, hash TEXT)"""


@dataclass(frozen=True, slots=True)
class Known:
    """What a row says. `modified` in nanoseconds; `found` is plain data."""

    size: int
    modified: int
    role: str
    found: dict[str, Any]
    hash: str


class Memory:
    """The rows, read once and written through. A file that is damaged is made anew; a folder that takes none costs
    a second look at the models, nothing else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[str, Known] | None = None

    def get(self, path: Path) -> Known | None:
        if self._rows is None:
            self._rows = self._read()
        return self._rows.get(str(path))

    def put(self, rows: Iterable[tuple[Path, Known]]) -> None:
        """Remember rows, in one transaction."""
        rows = list(rows)
        if self._rows is None:
            self._rows = self._read()
        self._rows |= {str(path): known for path, known in rows}
        values = [
            (str(path), known.size, known.modified, known.role, json.dumps(known.found), known.hash)
            for path, known in rows
        ]
        with contextlib.suppress(OSError, sqlite3.Error), self._open() as database:
            database.executemany("REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", values)

    def hash_of(self, path: Path, size: int, modified: int) -> str:
        """A hash that any process has stored for the file as it is now, else ""."""
        query = "SELECT hash FROM files WHERE path = ? AND size = ? AND modified = ?"
        with contextlib.suppress(OSError, sqlite3.Error), self._open() as database:
            row = database.execute(query, (str(path), size, modified)).fetchone()
            return str(row[0]) if row else ""
        return ""

    def _read(self) -> dict[str, Known]:
        try:
            return self._load()
        except (sqlite3.DatabaseError, ValueError):  # not a database, or not ours
            with contextlib.suppress(OSError):
                self.path.unlink()
        except OSError:
            pass
        return {}

    def _load(self) -> dict[str, Known]:
        if not self.path.exists():
            return {}
        with self._open() as database:
            rows = database.execute("SELECT path, size, modified, role, found, hash FROM files").fetchall()
        return {path: Known(size, at, role, json.loads(found), sha) for path, size, at, role, found, sha in rows}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as database:
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(_TABLE)
            with database:
                yield database
