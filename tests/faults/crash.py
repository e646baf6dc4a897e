"""Kill host and worker at random moments while jobs stream in; afterwards nothing may be lost, doubled or halved.

    python tests/faults/crash.py --kills 200 [--seed 1] [--url postgresql://…] [--home FOLDER]

Host and worker are processes of their own. The queue, the store, the runner, the lock and the repair are the product's;
only the picture is a fake one (bytes that follow from the seed), so that a kill costs a second and not a minute.
`--engine` runs real generations instead, in the product's own worker process: `--engine MODEL.safetensors`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from gesso.engine.blobs import Blobs, FolderBlobs
from gesso.engine.control import Control
from gesso.errors import JobCancelledError
from gesso.types import Artifact, Job, JobEvent, Request

PICTURE_BYTES = 40_000
GIVE_UP_S = 600.0


def fake_picture(seed: int) -> bytes:
    """Bytes that follow from the seed."""
    return b"".join(hashlib.sha256(f"{seed}:{i}".encode()).digest() for i in range(PICTURE_BYTES // 32))


# --- the worker: a process that makes fake pictures ----------------------------------------------------------------


def worker(folder: Path) -> None:
    """Jobs come as lines on stdin, events go as lines to stdout; the end of stdin is the end."""
    blobs = FolderBlobs(folder)
    rng = random.Random()
    for line in sys.stdin:
        job = Job.model_validate_json(line)
        size, total = job.request.batch_size, job.request.batch_size * job.request.count
        for start in range(0, total, size):
            indices = range(start, min(start + size, total))
            if set(job.done).issuperset(indices):
                continue
            tell("stage", {"stage": "sample", "anchor": "sample"})
            for index in indices:
                time.sleep(rng.uniform(0, 0.02))
                ref = blobs.put(fake_picture(job.request.seed + index), "image/png")
                artifact = Artifact(kind="image", file=ref, meta={"seed": job.request.seed + index})
                tell("artifact", {"artifact": artifact.model_dump(), "index": index})
            tell("progress", {"stage": "batch", "done": indices[-1] + 1, "total": total, "finished": list(indices)})
        tell("state", {"state": "done"})


def tell(kind: str, data: dict[str, Any]) -> None:
    try:
        print(json.dumps({"kind": kind, "data": data}), flush=True)
    except BrokenPipeError:
        os._exit(1)  # the host was killed


class FakeExecutor:
    """Runs jobs in a worker process and starts another when it dies."""

    def __init__(self, blobs: FolderBlobs) -> None:
        self.blobs: Blobs = blobs
        self._folder, self._process = blobs.folder, None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "worker", str(self._folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        return self._process

    def run(self, job: Job, emit: Any, control: Control | None = None) -> list[Artifact]:
        from gesso.jobs.death import Death, WorkerDiedError

        process, made = self._running(), []
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(job.model_dump_json() + "\n")
            process.stdin.flush()
        for line in process.stdout:
            try:
                event = JobEvent(job=job.id, **json.loads(line))
            except ValueError:
                break  # half a line: it was killed
            emit(event)
            if event.kind == "artifact":
                made.append(Artifact.model_validate(event.data["artifact"]))
            if event.kind == "state":
                return made
            if control is not None and control.cancelled:
                self.close()
                raise JobCancelledError("The job was cancelled.")
        code = process.wait()
        process.stdout.close()
        raise WorkerDiedError("The worker was killed.", Death(code))

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


# --- the host: what `gesso ui` does, without a page ------------------------------------------------------------------


def host(home: Path, url: str, engine: str) -> None:
    """Take the folder, repair, run jobs until SIGTERM."""
    from gesso.jobs.lock import HostLock
    from gesso.jobs.queue import JobQueue
    from gesso.jobs.records import Limits
    from gesso.jobs.runner import QueueRunner
    from gesso.store import Store

    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    with HostLock(home).acquire(timeout=10) as lock:
        store = Store.open(home, url)
        # Random kills are not the job's fault: no job may run into the limits of the product here.
        queue = JobQueue(store, limits=Limits(crashes=10_000, losses=10_000))
        recovered = queue.recover(lock.worker_prefix)
        repair = store.files.repair()
        if repair.recounted or repair.missing:
            raise SystemExit(f"the store was damaged: {repair}")
        executor: Any = engine_executor(home, store) if engine else FakeExecutor(store.files)
        runner = QueueRunner(queue, executor, worker=f"{lock.worker_prefix}/local")
        runner.start()
        print(f"ready {recovered} {repair.temporary} {repair.unreferenced}", flush=True)
        over.wait()
        runner.stop()
        executor.close()
        store.close()


def engine_executor(home: Path, store: Any) -> Any:
    """The product's worker process."""
    from gesso.jobs.worker_executor import WorkerExecutor
    from gesso.paths import Paths
    from gesso.plugins.host import Host
    from gesso.service import Service

    service = Service(Host.load("host", home=home), Paths.of(home))
    return WorkerExecutor(service.paths, service.library, service.core_settings, blobs=store.files)


# --- the driver ------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What happened."""

    kills: Counter[str] = field(default_factory=Counter)
    recovered: int = 0
    temporary: int = 0
    unreferenced: int = 0
    starts: int = 0
    jobs: dict[str, Job] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)


class Driver:
    """Submits jobs, kills processes."""

    def __init__(self, home: Path, url: str, engine: str, rng: random.Random) -> None:
        from gesso.jobs.queue import JobQueue
        from gesso.store import Store

        self.home, self.url, self.engine, self.rng, self.tally = home, url, engine, rng, Tally()
        self.process: subprocess.Popen[str] | None = None
        self.ready = threading.Event()
        self.queue = JobQueue(Store.open(home, url))
        self._make = self._engine_jobs() if engine else self._fake_jobs()

    # jobs

    def _fake_jobs(self) -> Iterator[Job]:
        for number in range(10**9):
            size, count = self.rng.randint(1, 2), self.rng.randint(1, 4)
            yield Job(request=Request(prompt=f"job {number}", seed=number * 100, batch_size=size, count=count))

    def _engine_jobs(self) -> Iterator[Job]:
        from gesso.paths import Paths
        from gesso.plugins.host import Host
        from gesso.service import Service

        models = self.home / "models" / "checkpoints"
        models.mkdir(parents=True)
        model = Path(self.engine).resolve()
        (models / model.name).symlink_to(model)
        service = Service(Host.load("host", home=self.home), Paths.of(self.home))
        for number in range(10**9):
            fields = {"model": model.stem, "steps": 3, "seed": number * 100, "count": self.rng.randint(1, 3)}
            request = service.request({"prompt": f"a red circle {number}", "width": 64, "height": 64, **fields})
            yield service.job(request)

    def submit(self) -> None:
        job = next(self._make)
        self.tally.jobs[job.id] = job
        self.queue.submit(job, priority=self.rng.choice([0, 0, 0, 1]))
        chance = self.rng.random()
        if chance < 0.05:
            self.queue.cancel(job.id)
            self.tally.cancelled.add(job.id)
        elif chance < 0.15:
            with contextlib.suppress(Exception):  # it may have begun
                self.queue.move(job.id, to="top")

    # processes

    def start(self) -> None:
        command = [sys.executable, __file__, "host", str(self.home), "--url", self.url, "--engine", self.engine]
        self.ready.clear()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.tally.starts += 1
        threading.Thread(target=self._read, args=[self.process], daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready"):
                self.ready.set()
                recovered, temporary, unreferenced = map(int, line.split()[1:])
                self.tally.recovered += recovered
                self.tally.temporary += temporary
                self.tally.unreferenced += unreferenced
        process.stdout.close()

    def kill(self) -> None:
        """One kill −9, of the host or of the worker."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise SystemExit(f"the host ended by itself: {self.process.returncode}")
        process = psutil.Process(self.process.pid)
        workers = process.children(recursive=True)
        if workers and self.rng.random() < 0.5:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.rng.choice(workers).kill()
                self.tally.kills["worker"] += 1
            return
        process.kill()
        self.process.wait()
        self.tally.kills["host"] += 1
        _, alive = psutil.wait_procs(workers, timeout=30)
        if alive:
            raise SystemExit(f"workers outlived their host: {alive}")
        self.start()

    def run(self, kills: int) -> None:
        """Kill in the middle of work mostly, now and then at the start, with its repair and its migration."""
        self.start()
        while sum(self.tally.kills.values()) < kills:
            if self.rng.random() < 0.8:
                self.work_until(lambda: self.ready.is_set())
            if self.engine:  # starting a worker takes many times longer than a picture: wait for one
                so_far = self.pictures()
                self.work_until(lambda so_far=so_far: self.pictures() > so_far)
            self.work_for(self.rng.uniform(0, 1.2))
            self.kill()
        self.drain()

    def pictures(self) -> int:
        return sum(len(record.made) for record in self.queue.jobs(limit=1_000_000))

    def work_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.work_until(lambda: time.monotonic() > until)

    def work_until(self, over: Callable[[], bool]) -> None:
        """Keep some jobs in the queue."""
        give_up = time.monotonic() + GIVE_UP_S
        while not over():
            if time.monotonic() > give_up:
                raise SystemExit("the host does not start")
            if sum(self.queue.state().counts[s] for s in ("queued", "running")) < 15:
                self.submit()
            time.sleep(self.rng.uniform(0.01, 0.1))

    def drain(self) -> None:
        """Let it end in peace."""
        until = time.monotonic() + GIVE_UP_S
        while any(self.queue.state().counts[s] for s in ("queued", "running")):
            if time.monotonic() > until:
                raise SystemExit(f"jobs do not end: {self.queue.state()}")
            time.sleep(0.1)
        self.stop()
        self.start()  # one more start, whose repair cleans up after the last kill
        self.wait_ready()
        self.stop()

    def wait_ready(self) -> None:
        if not self.ready.wait(GIVE_UP_S):
            raise SystemExit("the host does not start")

    def run_again(self) -> list[str]:
        """Every finished job once more, in peace; which pictures differ."""
        queue, wrong = self.queue, []
        done = [job for name, job in self.tally.jobs.items() if queue.get(name).state == "done"]
        copies = [job.model_copy(update={"id": uuid.uuid4().hex}) for job in done]
        queue.submit_many(copies)
        self.start()
        self.drain()
        for job, copy in zip(done, copies, strict=True):
            first, second = ([a.artifact.file.sha256 for a in queue.artifacts(j.id)] for j in (job, copy))
            if first != second:
                wrong.append(f"job {job.id[:8]}: other pictures than in an undisturbed run")
        return wrong

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        if code := self.process.wait(60):
            raise SystemExit(f"the host ended with {code}")


# --- the verdict -----------------------------------------------------------------------------------------------------


def verdict(driver: Driver) -> list[str]:
    """Everything that is wrong; empty if nothing is."""
    from gesso.store import Store

    queue, wrong = driver.queue, []
    # Two clean passes: the first may find what a kill after the last repair left, the second must find nothing.
    queue.store.files.repair(unused_s=0)
    again = queue.store.files.repair(unused_s=0)
    if again.temporary or again.unreferenced or again.missing or again.recounted:
        wrong.append(f"the repair is not final: {again}")
    wrong += files_wrong(queue.store)
    known = {record.id: record for record in queue.jobs(limit=1_000_000)}
    if set(known) != set(driver.tally.jobs):
        wrong.append(f"jobs submitted and stored differ: {set(known) ^ set(driver.tally.jobs)}")
    for name, job in driver.tally.jobs.items():
        if name in known:
            wrong += [f"job {name[:8]}: {text}" for text in job_wrong(driver, job, known[name])]
    assert isinstance(queue.store, Store)
    return wrong


def files_wrong(store: Any) -> Iterator[str]:
    """Half files, files without a row, rows without a file, wrong counts."""
    from sqlalchemy import select, text

    from gesso.store.schema import ArtifactRow, FileRow

    rows = {row.sha256: row for row in store.database.read(lambda s: s.scalars(select(FileRow)).all())}
    used = Counter(store.database.read(lambda s: s.scalars(select(ArtifactRow.sha256)).all()))
    disk = {path.name: path for path in store.files.folder.glob("[0-9a-f][0-9a-f]/*")}
    for name, path in disk.items():
        if hashlib.sha256(path.read_bytes()).hexdigest() != name:
            yield f"half file {name}"
    if set(rows) != set(disk):
        yield f"files and rows differ: {set(rows) ^ set(disk)}"
    if {sha: row.refs for sha, row in rows.items()} != dict(used):
        yield "reference counts are wrong"
    if store.database.is_sqlite:
        for pragma in ("integrity_check", "foreign_key_check"):
            found = store.database.read(lambda s, p=pragma: s.execute(text(f"PRAGMA {p}")).all())
            if [tuple(row) for row in found] not in ([("ok",)], []):
                yield f"{pragma}: {found}"


def job_wrong(driver: Driver, job: Job, record: Any) -> Iterator[str]:
    """Lost, doubled, out of order."""
    queue = driver.queue
    events, runs = queue.events_since(job.id), queue.runs(job.id)
    if [event.seq for event in events] != list(range(len(events))):
        yield f"event numbers {[event.seq for event in events]}"
    if any(run.ended is None for run in runs):
        yield f"a run never ended: {runs}"
    ends = [e.data["state"] for e in events if e.kind == "state" and e.data["state"] in ("done", "failed", "cancelled")]
    if ends != [record.state]:
        yield f"ends {ends}, state {record.state}"
    artifacts = queue.artifacts(job.id)
    indices = [artifact.index for artifact in artifacts]
    told = sorted(event.data["index"] for event in events if event.kind == "artifact")
    if told != indices:
        yield f"artifacts {indices}, told {told}"
    if record.state == "cancelled" and job.id in driver.tally.cancelled:
        return
    if record.state != "done":
        yield f"is {record.state}: {record.error}"
        return
    if [run.outcome for run in runs].count("done") != 1:
        yield f"runs {[run.outcome for run in runs]}"
    if indices != list(range(job.request.batch_size * job.request.count)):
        yield f"has pictures {indices}"
    if not driver.engine:
        for artifact in artifacts:
            expected = hashlib.sha256(fake_picture(job.request.seed + artifact.index)).hexdigest()
            if artifact.artifact.file.sha256 != expected:
                yield f"picture {artifact.index} is another"


def figures(driver: Driver, seconds: float) -> dict[str, Any]:
    outcomes = Counter(run.outcome for job in driver.tally.jobs for run in driver.queue.runs(job))
    artifacts = sum(len(driver.queue.artifacts(job)) for job in driver.tally.jobs)
    return {
        "kills": dict(driver.tally.kills), "host_starts": driver.tally.starts, "jobs": len(driver.tally.jobs),
        "cancelled": len(driver.tally.cancelled), "artifacts": artifacts, "runs": dict(outcomes),
        "jobs_taken_from_dead_hosts": driver.tally.recovered, "temporary_files_removed": driver.tally.temporary,
        "files_to_trash": driver.tally.unreferenced, "database": driver.queue.store.database.url.get_backend_name(),
        "seconds": round(seconds, 1),
    }  # fmt: skip


def main() -> None:
    if sys.argv[1:2] == ["worker"]:
        return worker(Path(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", nargs="?", choices=["host"])
    parser.add_argument("home", nargs="?", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--url", default="")
    parser.add_argument("--engine", default="", metavar="MODEL")
    given = parser.parse_args()
    if given.role == "host":
        return host(given.home, given.url, given.engine)
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="gesso-crash-") as folder:
        started = time.monotonic()
        home = Path(os.environ.setdefault("GESSO_HOME", str(Path(folder) / "home")))
        driver = Driver(home, given.url, given.engine, random.Random(seed))
        try:
            driver.run(given.kills)
            wrong = verdict(driver)
            if given.engine:
                wrong += driver.run_again()
        finally:
            if driver.process is not None and driver.process.poll() is None:
                driver.process.kill()
        print(json.dumps({"seed": seed, **figures(driver, time.monotonic() - started), "wrong": wrong}, indent=2))
        driver.queue.store.close()
    return sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
