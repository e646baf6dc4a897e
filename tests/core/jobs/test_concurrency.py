"""Several processes and threads on one queue: no job is taken twice, none is left."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections import Counter

from gesso.errors import InvalidInputError
from gesso.jobs.queue import JobQueue

WORKER = """
import sys
from pathlib import Path
from gesso.jobs.queue import JobQueue
from gesso.store import Store
queue = JobQueue(Store.open(Path(sys.argv[1]), sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
while claim := queue.claim(sys.argv[3], ["a"]):
    print(claim.job.id, claim.token, flush=True)
    queue.finish(claim, "done")
"""


def test_processes_that_claim_at_once_never_take_the_same_job(queue, store_url, tmp_path, make_job):
    jobs = queue.submit_many([make_job(model="ab"[n % 2]) for n in range(60)])
    home = str(tmp_path / "home")
    processes = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", WORKER, home, store_url, f"w{n}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for n in range(4)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    taken = [line.split()[0] for output in outputs for line in output.splitlines()]
    assert Counter(taken) == Counter(jobs)
    assert sum(bool(output) for output in outputs) > 1, "one process took everything: nothing was raced for"
    assert {len(queue.runs(job)) for job in jobs} == {1}
    assert queue.state().counts["done"] == 60


class Crowd:
    """Movers, cancellers, submitters and workers, each a thread; what goes wrong is kept."""

    def __init__(self, store, make_job) -> None:
        self.store, self.make_job = store, make_job
        self.queue = JobQueue(store)
        self.jobs = self.queue.submit_many([make_job() for _ in range(40)])
        self.errors: list[BaseException] = []
        self.over = threading.Event()

    def thread(self, work) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self.errors.append(error)

        made = threading.Thread(target=guarded)
        made.start()
        return made

    def take(self) -> None:
        mine = JobQueue(self.store)
        while not self.over.is_set():
            if claim := mine.claim("w"):
                mine.finish(claim, "done")

    def move(self) -> None:
        for job in self.jobs[:40:4]:
            with contextlib.suppress(InvalidInputError):  # it has begun
                self.queue.move(job, to="top")

    def cancel(self) -> None:
        for job in self.jobs[1:40:4]:
            self.queue.cancel(job)

    def submit(self) -> None:
        for _ in range(10):
            self.jobs.append(self.queue.submit(self.make_job()))


def test_people_change_the_queue_while_workers_take_from_it(store, make_job):
    """Every job ends once, in one state."""
    crowd = Crowd(store, make_job)
    people = [crowd.thread(work) for work in (crowd.move, crowd.cancel, crowd.submit)]
    workers = [crowd.thread(crowd.take) for _ in range(2)]
    for thread in people:
        thread.join(300)
    for job in tuple(crowd.jobs):
        crowd.queue.wait(job, 60)
    crowd.over.set()
    for thread in workers:
        thread.join(60)
    assert crowd.errors == []
    counts = crowd.queue.state().counts
    assert counts["done"] + counts["cancelled"] == 50
    for job in crowd.jobs:
        ends = [e.data["state"] for e in crowd.queue.events_since(job) if e.data["state"] not in ("queued", "running")]
        assert ends == [crowd.queue.get(job).state]


def test_positions_are_in_the_order_of_submission(store, make_job):
    """Several submitters: positions are unique, and each one's jobs stay in its order."""
    made: dict[int, list[str]] = {}

    def submit(number: int) -> None:
        queue = JobQueue(store)
        made[number] = [queue.submit(make_job(owner=str(number))) for _ in range(10)]

    threads = [threading.Thread(target=submit, args=[n]) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = JobQueue(store).jobs("queued")
    assert len({record.position for record in records}) == 30
    for number, jobs in made.items():
        assert [record.id for record in records if record.owner == str(number)] == jobs
