"""The whole way: ten real generations, the host killed in the middle, started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gesso.jobs.queue import JobQueue
from gesso.store import Store
from gesso.types import Job

pytestmark = pytest.mark.slow
HOST = """
import sys
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.serving import HostService

paths = Paths.of(sys.argv[1])
with HostService(Host.load("host", home=paths.home), paths) as service:
    print("ready", flush=True)
    sys.stdin.read()
    print("torch" in sys.modules, flush=True)
"""
PATIENCE = 300.0


class HostProcess:
    """A serving host of a data folder."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", HOST, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """kill −9; its worker has to end by itself."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        _, alive = psutil.wait_procs(children, timeout=60)
        assert alive == [], "the worker outlived its host"

    def end(self) -> str:
        """In good order; whether torch was in the host."""
        return self.process.communicate(timeout=PATIENCE)[0].strip()


@pytest.fixture
def ten_jobs(service, ask) -> list[Job]:
    return [service.job(ask(seed=100 * n, steps=4, count=1 + n % 2, prompt=f"a red circle {n}")) for n in range(10)]


def pictures(queue: JobQueue, jobs: list[Job]) -> list[list[bytes]]:
    return [[queue.store.files.get(a.artifact.file) for a in queue.artifacts(job.id)] for job in jobs]


@pytest.fixture
def make_home(tmp_path: Path, checkpoint: Path) -> Callable[[str], Path]:
    """A data folder that has the model."""

    def make(name: str) -> Path:
        models = tmp_path / name / "models" / "checkpoints"
        models.mkdir(parents=True)
        (models / checkpoint.name).symlink_to(checkpoint)
        return tmp_path / name

    return make


@pytest.fixture
def start_host() -> Iterator[Callable[[Path], HostProcess]]:
    """Start hosts; none is left at the end."""
    with contextlib.ExitStack() as stack:

        def start(home: Path) -> HostProcess:
            host = HostProcess(home)
            stack.callback(host.process.communicate)
            stack.callback(host.process.kill)
            host.wait_ready()
            return host

        yield start


def test_ten_jobs_outlive_a_killed_host(make_home, start_host, ten_jobs):
    """They end in order, with the pictures of an undisturbed run, each written once for people."""
    expected = undisturbed(make_home("calm"), start_host, ten_jobs)
    home = make_home("home")
    queue = JobQueue(Store.open(home))
    ids = queue.submit_many(ten_jobs)
    first = start_host(home)
    until(lambda: queue.state().counts["done"] >= 3 and queue.state().counts["running"])
    first.kill()
    assert queue.state().counts["running"] == 1, "killed in the middle of a job"
    second = start_host(home)
    for job in ids:
        assert queue.wait(job, PATIENCE).state == "done"
    assert second.end() == "False"
    assert pictures(queue, ten_jobs) == expected
    records = [queue.get(job) for job in ids]
    assert sorted(records, key=lambda record: record.finished) == records
    assert max(record.attempts for record in records) == 2
    assert sum(record.attempts for record in records) == 11
    written = sorted(path.read_bytes() for path in (home / "outputs").rglob("*.png"))
    assert written == sorted(data for job in expected for data in job)
    queue.store.close()


def undisturbed(home: Path, start_host: Callable[[Path], HostProcess], jobs: list[Job]) -> list[list[bytes]]:
    queue = JobQueue(Store.open(home))
    queue.submit_many(jobs)
    host = start_host(home)
    for job in jobs:
        assert queue.wait(job.id, PATIENCE).state == "done", queue.get(job.id).error
    host.end()
    made = pictures(queue, jobs)
    assert [len(job) for job in made] == [job.request.count for job in jobs]
    queue.store.close()
    return made


def until(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
