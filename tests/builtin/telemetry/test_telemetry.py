"""Health and metrics over HTTP, and nothing of a person's in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from gesso import HostService, Metric
from gesso.testing import headless_page, load_host
from gesso_builtin.telemetry.routes import build


@pytest.fixture
def service() -> Iterator[HostService]:
    with load_host(["builtin"]) as host, headless_page(host) as page:
        yield page.service


@pytest.fixture
def client(service: HostService) -> TestClient:
    from fastapi import FastAPI

    app = FastAPI()
    app.include_router(build(service))
    return TestClient(app)


def test_health_says_why_nothing_is_made(client: TestClient, service: HostService) -> None:
    well = client.get("/health")
    assert well.status_code == 200
    assert (well.json()["ok"], well.json()["waiting"]) == (True, 0)
    service.queue.pause("The disk is full.")
    ill = client.get("/health")
    assert (ill.status_code, ill.json()["problem"]) == (503, "The queue is paused. The disk is full.")


def test_metrics_are_prometheus_text(client: TestClient, service: HostService) -> None:
    labels = {"process": "worker", "pid": "77", "path": 'a "b"\n\\c'}
    service.publisher.publish(Metric(name="memory.rss", value=1.5e9, unit="bytes", labels=labels))
    service.publisher.publish(Metric(name="stage.sample", value=0.25, unit="s", labels={"job": "f" * 32}))
    text = client.get("/metrics").text
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+(\{(\w+="([^"\\]|\\.)*",?)+\})? [-+\d.e]+', line), line
    assert 'gesso_jobs{state="queued"} 0' in text
    assert 'gesso_memory_rss_bytes{path="a \\"b\\"\\n\\\\c",process="worker"} 1500000000' in text
    assert "gesso_stage_sample_seconds 0.25" in text
    assert "ffff" not in text
