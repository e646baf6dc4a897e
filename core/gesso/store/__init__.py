"""The database and the files: what must survive every crash."""

from gesso.store.database import Database, database_url
from gesso.store.errors import StorageError
from gesso.store.files import StoredFiles
from gesso.store.store import Store

__all__ = ["Database", "StorageError", "Store", "StoredFiles", "database_url"]
