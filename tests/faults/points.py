"""Kill the program at every single step: each SQL statement, each commit, each rename or removal of a file.

    python tests/faults/points.py [--every 1] [--url postgresql://…]

A child process opens a new store, uploads a file, submits jobs, runs them; before step n it kills itself. Then the
store is opened as after a crash, and everything must be there, once and whole. So for n = 1, 2, 3 … to the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401 - once, not in every child
from sqlalchemy import Engine, create_engine, event, inspect, select, text

from gesso.engine.control import Control
from gesso.jobs.queue import JobQueue
from gesso.jobs.records import Limits
from gesso.jobs.runner import QueueRunner
from gesso.store import Store
from gesso.store.database import database_url
from gesso.store.schema import ArtifactRow, FileRow, InputRow
from gesso.types import Artifact, FileRef, Job, JobEvent, Request

INPUT = b"an uploaded picture"


class Steps:
    """Counts steps; at the chosen one the process is gone."""

    def __init__(self, last: int) -> None:
        self.count, self._last = 0, last
        event.listen(Engine, "before_cursor_execute", self)
        event.listen(Engine, "commit", self)
        sys.addaudithook(lambda name, args: self() if name in ("os.rename", "os.remove") else None)

    def __call__(self, *_: Any) -> None:
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


class Executor:
    """One artifact per index: bytes that follow from the seed."""

    def __init__(self, store: Store) -> None:
        self.blobs = store.files

    def run(self, job: Job, emit: Callable[[JobEvent], None], control: Control | None = None) -> list[Artifact]:
        size, total = job.request.batch_size, job.request.batch_size * job.request.count
        for start in range(0, total, size):
            indices = list(range(start, start + size))
            if set(job.done).issuperset(indices):
                continue
            emit(JobEvent(job=job.id, kind="stage", data={"stage": "sample"}))
            for index in indices:
                ref = self.blobs.put(picture(job, index), "image/png")
                artifact = Artifact(kind="image", file=ref).model_dump()
                emit(JobEvent(job=job.id, kind="artifact", data={"artifact": artifact, "index": index}))
            emit(JobEvent(job=job.id, kind="progress", data={"stage": "batch", "done": 1, "finished": indices}))
        return []

    def close(self) -> None:
        pass


def picture(job: Job, index: int) -> bytes:
    return f"picture of seed {job.request.seed + index}".encode()


def jobs() -> list[Job]:
    """Fixed ids, so that a client that does not know whether it was heard can submit again."""
    uploaded = FileRef(sha256=hashlib.sha256(INPUT).hexdigest(), type="image/png")
    first = Job(id="a" * 32, request=Request(seed=1, count=2, batch_size=2, inputs={"init": uploaded}))
    second = Job(id="b" * 32, request=Request(seed=100, count=2), depends_on=(first.id,))
    third = Job(id="c" * 32, request=Request(seed=1))
    return [first, second, third]


def open_store(home: Path, url: str) -> JobQueue:
    return JobQueue(Store.open(home, url), limits=Limits())


def live(home: Path, url: str) -> None:
    """What the child does; also what is done after the crash, since every part of it may be repeated."""
    queue = open_store(home, url)
    queue.recover()
    queue.store.files.repair()
    queue.store.files.upload(INPUT, "image/png")
    queue.submit_many(jobs())
    runner = QueueRunner(queue, Executor(queue.store))
    while runner.run_one():
        pass
    runner.stop()
    queue.store.close()


def child(last: int, home: Path, url: str) -> int:
    """Live until step `last`; the number of steps lived when that did not come."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        steps = Steps(last)
        live(home, url)
        os.write(write, str(steps.count).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        lived = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not lived and not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
        raise SystemExit(f"step {last}: the child ended with status {status}")
    return int(lived or 0)


def wrong(home: Path, url: str) -> Iterator[str]:
    """What is not as it should be after the second life."""
    queue = open_store(home, url)
    for job in jobs():
        record, events = queue.get(job.id), queue.events_since(job.id)
        if record.state != "done":
            yield f"{job.id[0]} is {record.state} {record.error}"
        if [e.seq for e in events] != list(range(len(events))):
            yield f"{job.id[0]} has events {[e.seq for e in events]}"
        if sum(e.data.get("state") == "done" for e in events) != 1:
            yield f"{job.id[0]} is not done once"
        found = [(a.index, a.artifact.file.sha256) for a in queue.artifacts(job.id)]
        total = job.request.batch_size * job.request.count
        if found != [(i, hashlib.sha256(picture(job, i)).hexdigest()) for i in range(total)]:
            yield f"{job.id[0]} has artifacts {found}"
        if any(run.ended is None for run in queue.runs(job.id)):
            yield f"{job.id[0]} has a run without an end"
    again = queue.store.files.repair(unused_s=0)
    if again.temporary or again.missing or again.recounted:
        yield f"repair: {again}"
    work = queue.store.database
    used = [*work.read(lambda s: s.scalars(select(ArtifactRow.sha256)).all())]
    used += work.read(lambda s: s.scalars(select(InputRow.sha256)).all())
    rows = {row.sha256: row.refs for row in work.read(lambda s: s.scalars(select(FileRow)).all())}
    if rows != dict(Counter(used)):
        yield f"references {rows}, used {Counter(used)}"
    disk = {path.name: path.read_bytes() for path in queue.store.files.folder.glob("[0-9a-f][0-9a-f]/*")}
    if set(disk) != set(rows) or any(hashlib.sha256(data).hexdigest() != name for name, data in disk.items()):
        yield f"files {sorted(disk)}, rows {sorted(rows)}"
    queue.store.close()


def tables(home: Path, url: str) -> int:
    if not url and not (home / "gesso.sqlite3").exists():
        return 0
    engine = create_engine(database_url(url, home / "gesso.sqlite3"))
    names = inspect(engine).get_table_names()
    engine.dispose()
    return len(names)


def fresh(home: Path, url: str) -> None:
    shutil.rmtree(home, ignore_errors=True)
    if url:
        engine = create_engine(database_url(url, home))
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="look at every n-th step only")
    parser.add_argument("--url", default="", help="an empty PostgreSQL database, which is emptied again and again")
    given = parser.parse_args()
    started, bad, seen = time.monotonic(), [], set()
    with tempfile.TemporaryDirectory(prefix="gesso-points-") as folder:
        home = Path(folder) / "home"
        fresh(home, given.url)
        total = child(0, home, given.url)
        whole = tables(home, given.url)
        steps = range(1, total + 1, given.every)
        for step in steps:
            fresh(home, given.url)
            child(step, home, given.url)
            seen.add(found := tables(home, given.url))
            if found not in (0, whole):
                bad.append(f"step {step}: {found} of {whole} tables")
            live(home, given.url)
            bad += [f"step {step}: {what}" for what in wrong(home, given.url)]
    report = {"steps": total, "tried": len(steps), "tables_found": sorted(seen), "wrong": bad}
    print(json.dumps({**report, "seconds": round(time.monotonic() - started, 1)}, indent=2))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
