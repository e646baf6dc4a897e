"""A full disk, a read-only folder, a locked database: the real ones, in a mount namespace of their own where needed."""

from __future__ import annotations

import functools
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gesso.jobs.queue import JobQueue
from gesso.store import StorageError, Store
from gesso.store.database import Database, database_url
from gesso.store.upgrade import upgrade

PRELUDE = """
import json, sys, threading
from pathlib import Path
from gesso.jobs.queue import JobQueue
from gesso.jobs.runner import QueueRunner
from gesso.store import StorageError, Store
from gesso.types import Artifact, Job, JobEvent, Request

home = Path(sys.argv[1])

class Executor:
    def __init__(self, files): self.blobs = files
    def run(self, job, emit, control=None):
        for index in range(job.request.count):
            if index in job.done: continue
            ref = self.blobs.put(bytes([index]) * 300_000, "image/png")
            artifact = Artifact(kind="image", file=ref).model_dump()
            emit(JobEvent(job=job.id, kind="artifact", data={"artifact": artifact, "index": index}))
            emit(JobEvent(job=job.id, kind="progress", data={"stage": "batch", "finished": [index]}))
        return []
    def close(self): pass

def until(condition):
    for _ in range(1200):
        if condition(): return
        threading.Event().wait(0.05)
    raise SystemExit("it does not come about")
"""


@functools.cache
def can_mount() -> bool:
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True).returncode == 0


def in_namespace(folder: Path, mount: str, code: str) -> dict[str, object]:
    """Run `code` where `mount` (a shell line) was done on `folder`; what it prints as JSON."""
    if not can_mount():
        pytest.skip("this system lets us mount nothing (unshare -rm)")
    folder.mkdir(exist_ok=True)
    script = f'{mount} && exec {sys.executable} -P -c "$1" {folder}'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", PRELUDE + code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout.splitlines()[-1]))


FULL = """
store = Store.open(home)
queue = JobQueue(store)
ballast = home / "ballast"
ballast.write_bytes(bytes(38 << 20))  # less than two pictures remain
job = queue.submit(Job(request=Request(count=8)))
runner = QueueRunner(queue, Executor(store.files))
runner.start()
until(lambda: runner.status.state == "stalled")
said, then = runner.status.message, queue.get(job)
left = sorted(p.name for p in home.rglob("*.tmp"))
ballast.unlink()
record = queue.wait(job, 120)
print(json.dumps({"said": said, "then": then.state, "kept": len(then.made), "now": record.state, "left": left,
                  "artifacts": [a.index for a in queue.artifacts(job)], "error": record.error}))
runner.stop()
"""


def test_a_full_disk_holds_the_queue_until_there_is_room(tmp_path):
    report = in_namespace(tmp_path / "disk", f"mount -t tmpfs -o size=40m none {tmp_path / 'disk'}", FULL)
    assert "Free some space" in str(report["said"])
    assert report["then"] in ("queued", "running")
    assert 0 < int(str(report["kept"])) < 8, "the disk was to fill up in the middle of the job"
    assert report["now"] == "done", report["error"]
    assert report["artifacts"] == list(range(8))
    assert report["left"] == []


READ_ONLY = """
try:
    Store.open(home)
except StorageError as error:
    print(json.dumps({"said": str(error)}))
"""


@pytest.mark.parametrize("used", [False, True])
def test_a_read_only_folder_is_said_at_the_start(tmp_path, used):
    folder = tmp_path / "disk"
    folder.mkdir()
    if used:
        Store.open(folder).close()
    report = in_namespace(folder, f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}", READ_ONLY)
    assert "cannot be written" in str(report["said"]) or "read-only" in str(report["said"])
    assert "Make it writable" in str(report["said"])


def test_a_locked_database_is_waited_for_and_then_said(tmp_path, make_job):
    database = Database(database_url("", tmp_path / "gesso.sqlite3"), busy_s=0.2)
    upgrade(database)
    queue = JobQueue(Store(tmp_path, database))
    job = queue.submit(make_job())
    other = sqlite3.connect(tmp_path / "gesso.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match=r"Another program keeps the database locked.*work goes on by itself"):
        queue.submit(make_job())
    assert [record.id for record in queue.jobs()] == [job], "readers are not locked out"
    other.execute("COMMIT")
    other.close()
    assert queue.claim("w").job.id == job
    database.close()
