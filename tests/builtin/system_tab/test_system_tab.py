"""Memory, devices, worker and queue as they are told by the telemetry contract."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from gesso import Metric
from gesso.testing import headless_page, load_host
from gesso_builtin.system_tab.routes import build

GIB = 2**30


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with load_host(["system_tab"]) as host, headless_page(host) as found:
        yield found


@pytest.fixture(scope="module")
def client(page: Any) -> TestClient:
    app = FastAPI()
    app.include_router(build(page.service))
    return TestClient(app)


def test_before_anything_is_measured(client: TestClient, page: Any) -> None:
    found = client.get("/status.json").json()
    assert (found["memory"], found["worker"], found["processes"]) == ([], [], [])
    assert found["disk"][0][0] == str(page.service.paths.home)
    assert "system_tab.versions" in client.get("/status").text


def test_bars_and_numbers(client: TestClient, page: Any) -> None:
    def publish(name: str, value: float, unit: str = "bytes", **labels: str) -> None:
        page.service.publisher.publish(Metric(name=name, value=value, unit=unit, labels=labels))

    publish("memory.system", 23 * GIB)
    publish("memory.system_total", 24 * GIB)
    publish("memory.rss", 0.5 * GIB, process="host", pid="1")
    publish("memory.device", 3 * GIB, process="worker", device="cuda:0")
    publish("memory.device_used", 4 * GIB, process="worker", device="cuda:0")
    publish("memory.device_total", 8 * GIB, process="worker", device="cuda:0")
    publish("step.time", 0.256, "s", job="a")
    found = client.get("/status.json").json()
    assert found["memory"] == [["RAM", 23 * GIB, 24 * GIB], ["cuda:0", 4 * GIB, 8 * GIB]]
    assert found["processes"] == [["worker cuda:0", "3.00 GB"], ["host RAM", "512 MB"]]
    assert found["times"] == [["step.time", "0.26 s"]]
    html = client.get("/status").text
    assert 'aria-valuenow="96" aria-valuetext="23.0/24.0 GB"><div class="gy-fill gy-high"' in html
    assert 'aria-valuenow="50" aria-valuetext="4.0/8.0 GB"><div class="gy-fill"' in html
    report = client.get("/report").text
    assert "cuda:0: 4.0/8.0 GB" in report
    assert "queued: 0" in report
    assert str(page.service.paths.home) not in report


def test_a_paused_queue_says_why(client: TestClient, page: Any) -> None:
    page.service.queue.pause("The <disk> is full.")
    html = client.get("/status").text
    assert "The &lt;disk&gt; is full." in html
    page.service.queue.resume()
    assert "disk&gt;" not in client.get("/status").text


def test_what_the_worker_says_of_itself(client: TestClient, page: Any) -> None:
    device = SimpleNamespace(name="cuda:0", label="a <card>", memory=8 * GIB)
    hello = SimpleNamespace(device="cuda:0", devices=(device,), threads=4, pid=77, versions={"torch": "2.13", "x": "1"})
    death = SimpleNamespace(how=lambda: "was killed with SIGKILL")
    page.service.worker = SimpleNamespace(
        state="ready", restarts=1, last_death=death, hello=hello, loaded=tuple, unload=lambda: None
    )
    try:
        html = client.get("/status").text
        for part in (
            "ready",
            "was killed with SIGKILL",
            "cuda:0 (a &lt;card&gt;, 8.00 GB)",
            "<dd>77</dd>",
            "<dd>2.13</dd>",
        ):
            assert part in html
    finally:
        del page.service.worker
