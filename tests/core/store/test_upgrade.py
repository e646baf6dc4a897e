"""The schema at start-up: made, kept, upgraded under a lock, refused when it is newer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from gesso.errors import InvalidInputError
from gesso.store import StorageError, Store
from gesso.store.database import Database, database_url
from gesso.store.errors import NewerDatabaseError
from gesso.store.schema import SCHEMA, Base
from gesso.store.upgrade import MIGRATIONS, upgrade

OPEN = """
import sys
from pathlib import Path
from gesso.store import Store
Store.open(Path(sys.argv[1]), sys.argv[2]).close()
"""


def opening(home: Path, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", OPEN, str(home), url]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_migrations_and_tables_say_the_same(store):
    with store.database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_the_newest_migration_is_the_one_the_program_names():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA]


def test_a_current_database_is_opened_without_alembic(tmp_path, store_url):
    """Importing Alembic takes longer than all the rest of a start."""
    Store.open(tmp_path, store_url).close()
    code = OPEN + "print('alembic' in sys.modules)"
    command = [sys.executable, "-P", "-c", code, str(tmp_path), store_url]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_a_newer_database_is_refused_untouched(tmp_path, store_url):
    Store.open(tmp_path, store_url).close()
    database = Database(database_url(store_url, tmp_path / "gesso.sqlite3"))
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabaseError, match=r"written by a newer gesso.*Update gesso"):
        upgrade(database)
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    database.close()


def test_programs_that_start_at_once_wait_for_each_other(tmp_path, store_url):
    processes = [opening(tmp_path, store_url) for _ in range(4)]
    results = [(process.communicate(timeout=120)[1], process.returncode) for process in processes]
    assert results == [("", 0)] * 4


def test_a_file_that_is_no_database_is_said_to_be_damaged(tmp_path):
    (tmp_path / "gesso.sqlite3").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(StorageError, match="damaged"):
        Store.open(tmp_path)


@pytest.mark.parametrize(
    ("url", "message"), [("nonsense", "no URL"), ("mysql://x/y", "SQLite or PostgreSQL, not in mysql")]
)
def test_other_urls_are_refused(tmp_path, url, message):
    with pytest.raises(InvalidInputError, match=message):
        Store.open(tmp_path, url)


def test_a_server_that_does_not_answer(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(StorageError, match="does not answer") as caught:
        Store.open(tmp_path, f"postgresql://ann:secret@/gesso?host={tmp_path}")
    assert "secret" not in str(caught.value)
