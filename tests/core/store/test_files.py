"""Content-addressed files: written whole, counted, repaired."""

from __future__ import annotations

import os
import time

import pytest
from sqlalchemy import select, update

from gesso.errors import BadFileError
from gesso.jobs.claims import Batch
from gesso.store.files import TRASH_DAYS
from gesso.store.schema import FileRow
from gesso.types import Artifact, FileRef


@pytest.fixture
def kept(queue, make_job) -> FileRef:
    """A file that an artifact refers to."""
    job = queue.submit(make_job())
    claim = queue.claim("w")
    ref = queue.store.files.put(b"kept", "image/png")
    queue.finish(claim, "done", Batch(artifacts=[(0, 0, Artifact(kind="image", file=ref))], made=[0]))
    assert queue.artifacts(job)[0].artifact.file == ref
    return ref


def rows(store) -> dict[str, FileRow]:
    return {row.sha256: row for row in store.database.read(lambda s: s.scalars(select(FileRow)).all())}


def test_the_same_bytes_are_stored_once(store):
    first, second = store.files.put(b"abc", "text/plain"), store.files.put(b"abc", "text/plain")
    assert first == second
    assert store.files.get(first) == b"abc"
    assert [path.name for path in store.files.folder.rglob("*") if path.is_file()] == [first.sha256]


def test_what_is_not_there_is_said(store):
    with pytest.raises(BadFileError, match="Upload it again"):
        store.files.get(FileRef(sha256="0" * 64))


def test_repair_removes_what_a_crash_left(store, kept):
    orphan = store.files.put(b"orphan", "image/png")
    half = store.files.path(orphan).parent / f".{orphan.sha256}.x.tmp"
    half.write_bytes(b"half")
    done = store.files.repair()
    assert (done.temporary, done.unreferenced, done.missing, done.recounted) == (1, 1, [], 0)
    assert not half.exists()
    assert not store.files.has(orphan)
    assert store.files.get(kept) == b"kept"
    assert (store.files.folder / "trash" / orphan.sha256).read_bytes() == b"orphan"


def test_repair_marks_what_is_missing_until_it_is_back(store, kept):
    store.files.path(kept).unlink()
    assert store.files.repair().missing == [kept.sha256]
    assert rows(store)[kept.sha256].missing
    store.files.put(b"kept", "image/png")
    assert store.files.repair().missing == []
    assert not rows(store)[kept.sha256].missing


def test_repair_counts_anew(store, kept):
    store.database.write(lambda s: s.execute(update(FileRow).values(refs=7)))
    assert store.files.repair().recounted == 1
    assert rows(store)[kept.sha256].refs == 1


def test_an_upload_waits_a_day_for_its_job(store, kept):
    upload = store.files.upload(b"upload", "image/png")
    assert store.files.repair().unreferenced == 0
    assert store.files.collect() == 0
    yesterday = time.time() - 25 * 3600
    store.database.write(lambda s: s.execute(update(FileRow).values(touched=yesterday)))
    os.utime(store.files.path(upload), (yesterday, yesterday))
    assert store.files.collect() == 1
    assert not store.files.has(upload)
    assert store.files.has(kept)
    assert set(rows(store)) == {kept.sha256}


def test_a_file_that_is_wanted_while_it_is_collected_stays(store):
    """`put` found the file and left it at that; the collection moves it away at this very moment."""
    ref = store.files.put(b"wanted", "image/png")
    path = store.files.path(ref)
    os.utime(path, (0, 0))
    assert store.files._to_trash(path)
    store.files.put(b"wanted", "image/png")
    assert store.files.get(ref) == b"wanted"
    os.utime(path, (time.time() + 1, time.time() + 1))  # touched after the collection looked
    assert not store.files._to_trash(path)
    assert store.files.get(ref) == b"wanted"


def test_the_trash_is_emptied_after_a_while(store):
    orphan = store.files.put(b"orphan", "image/png")
    store.files.repair()
    trashed = store.files.folder / "trash" / orphan.sha256
    old = time.time() - (TRASH_DAYS + 1) * 24 * 3600
    os.utime(trashed, (old, old))
    store.files.repair()
    assert not trashed.exists()
