"""One data folder's store: database and files together."""

from __future__ import annotations

from pathlib import Path

from gesso.store.database import Database, database_url
from gesso.store.files import StoredFiles
from gesso.store.upgrade import upgrade


class Store:
    """Opened once per process; opening brings the schema up to date."""

    def __init__(self, home: Path, database: Database) -> None:
        self.home, self.database = home, database
        self.files = StoredFiles(home / "files", database)

    @classmethod
    def open(cls, home: Path, url: str = "") -> Store:
        """The store of a data folder. `url` names a PostgreSQL database; "" takes SQLite in the folder.

        Raises StorageError (disk, permission, server), NewerDatabaseError.
        """
        database = Database(database_url(url, home / "gesso.sqlite3"))
        upgrade(database)
        return cls(home, database)

    def close(self) -> None:
        self.database.close()
