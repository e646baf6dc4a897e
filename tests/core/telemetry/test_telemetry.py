"""The publisher, times from job events, memory by process."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from gesso.telemetry import JobTimes, Publisher, device_memory, memory, system_memory
from gesso.types import JobEvent, Metric


def event(kind, time, job="a", **data):
    return JobEvent(job=job, kind=kind, time=time, data=data)


def sample(time, done, job="a"):
    return event("progress", time, job, stage="sample", done=done, total=3)


def values(metrics):
    return [(metric.name, metric.value, metric.unit) for metric in metrics]


def test_job_and_step_times_are_read_off_the_events():
    times = JobTimes()
    metrics = []
    for item in (
        event("state", 10, state="running"),
        event("stage", 11, stage="sample", anchor="sample"),
        sample(14, 1), sample(15, 2), sample(17, 3),
        event("stage", 18, stage="decode", anchor="decode"),
        event("stage", 30, stage="sample", anchor="sample"),
        sample(40, 1), sample(41, 2), sample(42, 1), sample(44, 2),
        event("state", 50, state="done"),
    ):  # fmt: skip
        metrics += times.follow(item)
    steps = [metric.value for metric in metrics if metric.name == "step.time"]
    assert steps == [1, 2, 1, 2]  # not the way from one batch, or one pass, to the next
    assert values(metrics)[-1] == ("job.time", 40, "s")
    assert metrics[-1].labels == {"job": "a", "state": "done"}
    assert metrics[-1].time == 50


def test_jobs_do_not_mix():
    times = JobTimes()
    for job, start in (("a", 0), ("b", 5)):
        times.follow(event("state", start, job, state="running"))
    assert values(times.follow(event("state", 7, "b", state="failed"))) == [("job.time", 2, "s")]
    assert values(times.follow(event("state", 9, "a", state="cancelled"))) == [("job.time", 9, "s")]
    assert times.follow(event("state", 9, "a", state="cancelled")) == []


def test_a_metric_of_a_stage_goes_through_the_publisher():
    publisher, told = Publisher(), []
    publisher.subscribe(told.append)
    publisher.job_event(event("metric", 3, name="lora.load", value=0.5, unit="s"))
    assert told == [Metric(name="lora.load", value=0.5, unit="s", time=3, labels={"job": "a"})]


def test_the_latest_of_each_kind_is_kept_and_no_more():
    publisher = Publisher()
    for number in range(5000):
        publisher.metric("job.time", number, "s", job=str(number), state="done")
        publisher.metric("job.time", -number, "s", job=str(number), state="failed")
    publisher.metric("memory.rss", 1, "bytes", process="host")
    assert [(m.value, m.labels.get("state")) for m in publisher.latest("job.time")] == [
        (4999, "done"),
        (-4999, "failed"),
    ]
    assert [m.name for m in publisher.latest()] == ["job.time", "job.time", "memory.rss"]
    for number in range(5000):
        publisher.metric(f"name.{number}", 1, "s")
    assert len(publisher.latest()) == 1000


def test_a_listener_that_fails_disturbs_nobody_and_is_left_out_in_the_end(caplog):
    publisher, told, calls = Publisher(), [], []

    def broken(metric):
        calls.append(metric)
        raise ValueError("no luck")

    publisher.subscribe(broken)
    publisher.subscribe(told.append)
    for _ in range(20):
        publisher.metric("x", 1, "s")
    assert len(told) == 20
    assert len(calls) == 10
    assert "left out" in caplog.text


def test_a_listener_can_leave():
    publisher, told = Publisher(), []
    leave = publisher.subscribe(told.append)
    publisher.metric("x", 1, "s")
    leave()
    publisher.metric("x", 2, "s")
    assert [metric.value for metric in told] == [1]


def test_memory_is_what_the_system_says():
    before = memory("host").value
    block = bytearray(64 << 20)
    metric = memory("host")
    assert metric.value - before > 50 << 20
    assert (metric.name, metric.unit) == ("memory.rss", "bytes")
    assert metric.labels == {"process": "host", "pid": str(os.getpid())}
    del block
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert memory("worker", child.pid).value > 0
        child.communicate(b"\n")
    with pytest.raises(psutil.NoSuchProcess):
        memory("worker", child.pid)


def test_telemetry_imports_no_torch():
    code = (
        "import sys\nfrom gesso.telemetry import device_memory\n"
        "assert device_memory('host') == []\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert isinstance(device_memory("host"), list)


def test_the_machines_memory_is_what_all_programs_use():
    used, total = system_memory()
    assert (used.name, total.name, used.unit) == ("memory.system", "memory.system_total", "bytes")
    assert 0 < used.value < total.value == psutil.virtual_memory().total
