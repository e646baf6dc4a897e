"""Tasks: run in this process and in the worker, told, cancelled, interrupted, begun again after a crash."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gesso.engine.control import Control
from gesso.engine.tasks import TaskError
from gesso.errors import InvalidInputError, JobCancelledError, UnknownNameError
from gesso.jobs.queue import JobQueue
from gesso.jobs.runner import QueueRunner
from gesso.jobs.tasks import task_job
from gesso.paths import Paths
from gesso.plugins.host import Host, Selection
from gesso.service import Service
from gesso.types import Job, JobEvent

PLUGIN = '''
from gesso import GessoError, InvalidInputError, Params, ResolveTaskFn, Task, TaskFn, hookimpl, lazy, param

api = "1"


class Count(Params):
    """How far to count."""

    to: int = param(3, ge=0, le=1000, label="To")
    note: str = param("", label="Note")
    fail: str = param("", label="Fail")


@hookimpl
def gesso_register_tasks(registry):
    run, resolve = lazy("counting:run", TaskFn), lazy("counting:resolve", ResolveTaskFn)
    registry.add(Task(name="count", label="Count", params=Count, run=run, resolve=resolve))


def resolve(params, service):
    if params.note == "nobody":
        raise InvalidInputError("There is nobody.")
    return params.model_copy(update={"note": params.note or service.host.process})


def run(ctx, params):
    for i in range(params.to):
        ctx.progress("counting", i, params.to)
        if i not in ctx.published:
            ctx.publish(str(i).encode(), "text/plain", kind="text", number=i)
        if params.fail == str(i):
            raise ValueError("no further")
        if params.fail == "result":
            return {"value": float("nan")}
    ctx.progress("counting", params.to, params.to)
    return {"counted": params.to, "note": params.note, "again": sorted(ctx.job.done)}
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plugins")
    (root / "counting.py").write_text(PLUGIN, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def counting(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    paths = Paths.of(tmp_path_factory.mktemp("home"))
    host = Host.load("both", home=paths.home, selection=Selection(plugins_dir=folder))
    yield Service(host, paths)
    host.close()


def ran(service: Service, *, control: Control | None = None, **fields: Any) -> list[JobEvent]:
    events: list[JobEvent] = []
    service.run(task_job(service, "count", fields), events.append, control)
    return events


def test_its_record_is_validated_and_resolved_before_it_is_queued(counting: Service) -> None:
    job = task_job(counting, "Count", {"to": "5"}, owner="me")
    assert (job.kind, job.task, job.request.owner) == ("task", "count", "me")
    assert job.request.params == {"count": {"to": 5, "note": "both", "fail": ""}}
    assert Job.model_validate(json.loads(job.model_dump_json())) == job
    with pytest.raises(UnknownNameError, match="Did you mean 'Count'"):
        task_job(counting, "cuont", {})
    with pytest.raises(UnknownNameError, match="field of count"):
        task_job(counting, "count", {"too": 1})
    with pytest.raises(InvalidInputError, match=r"count\.to"):
        task_job(counting, "count", {"to": "-1"})
    with pytest.raises(InvalidInputError, match="nobody"):
        task_job(counting, "count", {"note": "nobody"})


def test_it_tells_stage_progress_artifacts_result_and_state(counting: Service) -> None:
    events = ran(counting, to=2)
    assert [e.seq for e in events] == list(range(len(events)))
    assert next(e.data for e in events if e.kind == "stage") == {"stage": "count", "anchor": "task"}
    assert [e.data["done"] for e in events if e.data.get("stage") == "counting"] == [0, 1, 2]
    made = [e.data for e in events if e.kind == "artifact"]
    assert [(m["index"], m["artifact"]["kind"], m["artifact"]["meta"]) for m in made] == [
        (1, "text", {"number": 0}), (2, "text", {"number": 1}),
    ]  # fmt: skip
    assert next(e.data["result"]["counted"] for e in events if e.kind == "result") == 2
    assert events[-1].data["state"] == "done"


def test_a_cancel_and_an_interrupt_end_it_at_its_next_word(counting: Service) -> None:
    control = Control()
    control.cancel()
    with pytest.raises(JobCancelledError):
        ran(counting, control=control)
    control = Control()
    events: list[JobEvent] = []

    def follow(event: JobEvent) -> None:
        events.append(event)
        if event.kind == "artifact":
            control.interrupt()

    result = counting.run(task_job(counting, "count", {"to": 1000}), follow, control)
    assert len(result.artifacts) == 1
    assert events[-1].data["state"] == "interrupted"
    assert not any(event.kind == "result" for event in events)


def test_a_failure_names_task_and_plugin(counting: Service) -> None:
    with pytest.raises(TaskError, match=r"^local:counting: the task 'count' failed: ValueError: no further"):
        ran(counting, fail="1")
    with pytest.raises(TaskError, match="the task 'count' failed: ValueError"):  # no JSON
        ran(counting, fail="result")


def test_a_second_attempt_goes_on_behind_what_the_first_has_published(counting: Service) -> None:
    job = task_job(counting, "count", {"to": 4}).model_copy(update={"done": (1, 2)})
    events: list[JobEvent] = []
    counting.run(job, events.append)
    assert [e.data["index"] for e in events if e.kind == "artifact"] == [3, 4]
    assert next(e.data["result"]["again"] for e in events if e.kind == "result") == [1, 2]


def test_on_the_queue_an_interrupted_task_keeps_its_files_and_is_not_done(counting: Service, queue: JobQueue) -> None:
    runner = QueueRunner(queue, counting.executor)

    def stop(event: JobEvent) -> None:
        if event.kind == "artifact" and event.data["artifact"]["meta"]["number"] == 1:
            queue.interrupt(event.job)

    queue.subscribe(stop)
    long, short = task_job(counting, "count", {"to": 1000}), task_job(counting, "count", {"to": 2, "note": "x"})
    queue.submit_many([long, short])
    while runner.run_one():
        pass
    assert (queue.get(long.id).state, queue.get(short.id).state) == ("interrupted", "done")
    assert 2 <= len(queue.artifacts(long.id)) < 1000
    result = [e.data["result"] for e in queue.events_since(short.id) if e.kind == "result"]
    assert result == [{"counted": 2, "note": "x", "again": []}]


@pytest.mark.slow
def test_the_command_lists_and_runs_it(folder: Path, tmp_path: Path) -> None:
    def gesso(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "gesso", "--plugins-dir", str(folder), "tasks", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    listed = {task["name"]: task for task in json.loads(gesso("list", "--json").stdout)}
    assert [field["name"] for field in listed["count"]["fields"]] == ["to", "note", "fail"]
    done = gesso("run", "count", "--set", "to=2", "--set", "count.note=hi", "--json", "--inline")
    document = json.loads(done.stdout)
    assert document["result"] == {"counted": 2, "note": "hi", "again": []}
    assert [Path(file).read_text() for file in document["files"]] == ["0", "1"]
    wrong = gesso("run", "count", "--set", "to=many")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "count.to" in wrong.stderr
