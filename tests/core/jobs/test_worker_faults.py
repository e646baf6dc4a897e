"""What a plugin may do to the worker, and what nobody else may notice of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from gesso.engine.control import Control
from gesso.errors import GessoError, JobCancelledError
from gesso.jobs.death import WorkerDiedError, WorkerStartError
from gesso.jobs.frames import Channel, read
from gesso.jobs.protocol import Start, WorkerSettings
from gesso.jobs.worker_executor import WorkerExecutor
from gesso.plugins import Selection

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")


class Outcome:
    def __init__(self, service, model, sampler, *, control=None, when=None, **fields):
        self.events, self.error, self.artifacts = [], None, []
        given = {"model": str(model), "sampler": sampler, "seed": 1, "prompt": "p", "steps": 4, **fields}

        def emit(event):
            self.events.append(event)
            if when is not None:
                when(event)

        try:
            self.artifacts = service.run(service.job(service.request(given)), emit, control).artifacts
        except GessoError as error:
            self.error = error

    @property
    def states(self):
        return [event.data["state"] for event in self.events if event.kind == "state"]

    @property
    def told(self):
        """The data of its error event."""
        (event,) = [event for event in self.events if event.kind == "error"]
        return event.data


def session(leader):
    """Command lines of the processes of a session that still run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
    return found


@pytest.fixture(autouse=True)
def _the_next_job_runs(service, toy_model):
    """After every test of this module the same executor serves."""
    yield
    after = Outcome(service, toy_model, "euler")
    assert after.states == ["running", "done"]
    assert len(after.artifacts) == 1


@pytest.mark.parametrize(
    ("sampler", "name", "word"), [("segfault", "SIGSEGV", "segmentation fault"), ("abort", "SIGABRT", "abort")]
)
def test_a_crash_in_a_sampler_fails_its_job_and_names_the_plugin(service, toy_model, sampler, name, word):
    pid = service.executor.wait_ready(120).pid
    outcome = Outcome(service, toy_model, f"faulty_{sampler}")
    assert isinstance(outcome.error, WorkerDiedError)
    assert not outcome.error.retry
    assert outcome.states == ["running", "failed"]
    until = time.monotonic() + 60
    while session(pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert session(pid) == []  # what it had started was killed with it
    message = str(outcome.error)
    assert f"crashed with {name} ({word}) in the stage 'sample'" in message
    assert "the plugin local:faulty (samplers.py, line " in message
    assert f"in {sampler})" in message
    assert "--without local:faulty" in message
    assert outcome.told["message"] == message
    assert (outcome.told["signal"], outcome.told["stage"], outcome.told["plugin"]) == (name, "sample", "local:faulty")
    assert "Fatal Python error" in outcome.told["traceback"]
    numbered = [event.seq for event in outcome.events if event.kind != "preview"]
    assert numbered == list(range(len(numbered)))


@pytest.mark.parametrize(("sampler", "alive"), [("endless", "was alive"), ("endless_in_c", "")])
def test_an_endless_loop_is_ended_and_the_log_shows_where(service, toy_model, sampler, alive):
    outcome = Outcome(service, toy_model, f"faulty_{sampler}")
    assert isinstance(outcome.error, WorkerDiedError)
    assert not outcome.error.retry
    assert outcome.states == ["running", "failed"]
    assert "it made no progress for 2 s" in str(outcome.error)
    assert alive in str(outcome.error)
    assert f"in {sampler})" in str(outcome.error)
    assert outcome.told["plugin"] == "local:faulty"


@pytest.mark.parametrize("sampler", ["deaf", "oblivious"])
def test_a_cancel_that_is_not_obeyed_is_enforced(service, toy_model, sampler):
    """One tells nothing any more, the other tells of steps without end."""
    control = Control()
    before = service.executor.restarts

    def when(event):
        if event.kind == "stage" and event.data["stage"] == "sample":
            control.cancel()

    outcome = Outcome(service, toy_model, f"faulty_{sampler}", control=control, when=when)
    assert isinstance(outcome.error, JobCancelledError)
    assert outcome.states == ["running", "cancelled"]
    service.executor.wait_ready(120)
    assert service.executor.restarts == before + 1
    assert "did not stop within" in service.executor.last_death.reason


def test_a_flood_of_output_goes_to_a_log_of_limited_size(service, toy_model):
    outcome = Outcome(service, toy_model, "faulty_flood")
    assert outcome.states == ["running", "done"]
    logs = list(service.paths.logs.glob("worker.log*"))
    assert 2 <= len(logs) <= 4
    assert 5_000_000 < sum(path.stat().st_size for path in logs) < 9_000_000
    assert "the last word" in service.executor._log.tail()


def test_what_is_no_frame_ends_the_worker_and_not_the_host(service, toy_model):
    before = service.executor.restarts
    outcome = Outcome(service, toy_model, "faulty_garbage", steps=50)
    assert isinstance(outcome.error, WorkerDiedError)
    assert "it sent what is no message" in str(outcome.error)
    assert "this is no frame" in str(outcome.error)
    service.executor.wait_ready(120)
    assert service.executor.restarts == before + 1


@pytest.mark.parametrize(("sampler", "words"), [("leave", "SystemExit: 3"), ("fail", "ValueError: no luck")])
def test_an_exception_fails_the_job_and_not_the_worker(service, toy_model, sampler, words):
    before = service.executor.wait_ready(120).pid
    outcome = Outcome(service, toy_model, f"faulty_{sampler}")
    assert words in str(outcome.error)
    assert not isinstance(outcome.error, WorkerDiedError)
    assert service.executor.hello.pid == before


def test_a_worker_killed_in_the_middle_is_worth_another_try(service, toy_model):
    pid = service.executor.wait_ready(120).pid

    def when(event):
        if event.kind == "progress" and event.data["stage"] == "sample":
            os.kill(pid, signal.SIGKILL)

    outcome = Outcome(service, toy_model, "faulty_slow", when=when, steps=50)
    assert isinstance(outcome.error, WorkerDiedError)
    assert outcome.error.retry
    assert outcome.told["retry"] is True
    assert "want of memory" in str(outcome.error)
    assert outcome.states == ["running", "failed"]


def test_a_worker_killed_before_it_began_costs_nothing(service, toy_model):
    """The job is given to the next worker, and nobody is told of the dead one."""
    process = psutil.Process(service.executor.wait_ready(120).pid)
    process.suspend()  # it can begin with nothing now, and its pipe takes the job
    killer = subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(1); os.kill({process.pid}, 9)"])
    outcome = Outcome(service, toy_model, "euler")
    killer.wait()
    assert outcome.states == ["running", "done"]
    assert service.executor.hello.pid != process.pid


HOST = """
import sys, threading, time
from pathlib import Path
from gesso.jobs.frames import Channel, read
from gesso.jobs.protocol import Start, WorkerSettings
from gesso.jobs.worker_executor import WorkerExecutor
from gesso.paths import Paths
from gesso.plugins import Host, Selection
from gesso.service import Service
home, plugins, model, sampler = sys.argv[1:]
paths, selection = Paths.of(home), Selection(plugins_dir=Path(plugins))
service = Service(Host.load("host", home=home, selection=selection), paths)
executor = service._executor = WorkerExecutor(
    paths, service.library, service.core_settings, selection=selection, options=WorkerSettings(threads=1, niceness=0)
)
print(executor.wait_ready(120).pid, flush=True)
if sampler:
    def told(event):
        if event.kind == "stage" and event.data["stage"] == "sample":
            print("sampling", flush=True)
    service.run(service.job(service.request({"model": model, "sampler": sampler, "prompt": "p"})), told)
time.sleep(600)
"""


@linux
@pytest.mark.parametrize("sampler", ["", "faulty_endless_in_c"])
def test_the_worker_ends_with_a_host_that_was_killed(toy_model, worker_plugins, tmp_path, sampler):
    """Even while a C function holds Python's lock, so that no thread of the worker can notice its pipe's end."""
    command = [sys.executable, "-P", "-c", HOST, str(tmp_path), str(worker_plugins), str(toy_model), sampler]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        try:
            worker = psutil.Process(int(host.stdout.readline()))
            if sampler:
                assert host.stdout.readline() == "sampling\n"
                time.sleep(0.5)
        finally:
            host.kill()
    gone, _ = psutil.wait_procs([worker], timeout=10)
    assert gone == [worker]


@pytest.mark.parametrize("begun", [False, True])
def test_the_pipes_end_alone_is_enough(tmp_path, begun):
    """As on systems whose kernel does not help: the host lives and has closed the pipe."""
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", "gesso.jobs.worker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    if begun:
        start = Start(home=tmp_path, only=())
        Channel(worker.stdout, worker.stdin).send("start", start.model_dump(mode="json"))
        assert read(worker.stdout).kind == "hello"
    out, err = worker.communicate(timeout=60)
    assert (worker.returncode, err) == (0, b"")
    assert begun or out == b""


def test_a_host_that_sends_garbage_gets_a_clear_end(toy_model):
    command = [sys.executable, "-P", "-m", "gesso.jobs.worker"]
    done = subprocess.run(command, input=b"GET / HTTP/1.1\r\n\r\n", capture_output=True, timeout=60, check=False)
    assert done.returncode == 65
    assert done.stdout == b""
    assert b"the host sent what is no message: Expected a frame, found b'GET / HTTP/1.1" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_worker_that_cannot_start_is_said_to_be_so(service, toy_model, worker_plugins):
    """Tried a few times with growing pauses; then a job is told why, with the worker's own words."""
    executor = WorkerExecutor(
        service.paths, service.library, service.core_settings,
        selection=Selection(only=("no-such-plugin",), plugins_dir=worker_plugins),
        options=WorkerSettings(threads=1, niceness=0),
    )  # fmt: skip
    given = {"model": str(toy_model), "sampler": "euler", "prompt": "p"}
    events = []
    try:
        with pytest.raises(WorkerStartError, match="Unknown plugin 'no-such-plugin'") as caught:
            executor.run(service.job(service.request(given)), events.append)
        assert executor.state == "failed"
        assert executor.restarts == 4
        assert not caught.value.retry
        assert [event.kind for event in events] == ["error", "state"]
    finally:
        executor.close()
    assert executor.state == "closed"
