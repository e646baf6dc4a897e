"""`/plugins/telemetry/health` and `/plugins/telemetry/metrics`. Nothing of a person's is in them: numbers only.

The text format is Prometheus' (https://prometheus.io/docs/instrumenting/exposition_formats/).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse

import gesso
from gesso import HostService, Metric

UNITS = {"s": "seconds", "bytes": "bytes", "1/s": "per_second"}


def build(service: HostService) -> APIRouter:
    """The two routes of a started service."""
    router = APIRouter()

    @router.get("/health")
    def health() -> JSONResponse:
        """200 while pictures can be made, 503 with the reason while they cannot."""
        found = _health(service)
        return JSONResponse(found, status_code=200 if found["ok"] else 503)

    @router.get("/metrics")
    def metrics() -> PlainTextResponse:
        """Everything that is measured, latest values."""
        text = "\n".join(_lines(service)) + "\n"
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    return router


def _health(service: HostService) -> dict[str, Any]:
    queue, worker = service.queue.state(), _worker(service)
    problem = f"The queue is paused. {queue.reason}".strip() if queue.paused else ""
    if not problem and worker in ("failed", "closed"):
        problem = "The worker does not run."
    return {
        "ok": not problem, "problem": problem, "version": gesso.__version__, "worker": worker,
        "waiting": queue.counts.get("queued", 0), "running": queue.counts.get("running", 0),
    }  # fmt: skip


def _worker(service: HostService) -> str:
    """Its state; "none" on a page that runs no jobs."""
    worker = getattr(service, "worker", None)
    return "none" if worker is None else str(worker.state)


def _lines(service: HostService) -> Iterator[str]:
    yield from _family("gesso_info", "gauge", "Version", [({"version": gesso.__version__}, 1.0)])
    jobs = service.queue.state().counts
    values = [({"state": state}, float(count)) for state, count in sorted(jobs.items())]
    yield from _family("gesso_jobs", "gauge", "Jobs in the store by state", values)
    states = [state.state for state in service.host.states]
    plugins = [({"state": state}, float(states.count(state))) for state in sorted(set(states))]
    yield from _family("gesso_plugins", "gauge", "Plugins by state", plugins)
    if (worker := getattr(service, "worker", None)) is not None:
        yield from _family("gesso_worker_restarts", "counter", "Deaths of the worker", [({}, float(worker.restarts))])
    by_name: dict[str, list[Metric]] = {}
    for metric in service.publisher.latest():
        by_name.setdefault(_name(metric), []).append(metric)
    for name, found in sorted(by_name.items()):
        # A job's number would make a new series of each job.
        rows = [({k: v for k, v in m.labels.items() if k not in ("job", "pid")}, m.value) for m in found]
        yield from _family(name, "gauge", f"{found[0].name} ({found[0].unit or 'no unit'})", rows)


def _name(metric: Metric) -> str:
    """`memory.rss` in bytes → gesso_memory_rss_bytes."""
    plain = re.sub(r"[^a-z0-9_]", "_", metric.name.lower())
    unit = UNITS.get(metric.unit, "")
    return f"gesso_{plain}_{unit}" if unit else f"gesso_{plain}"


def _family(name: str, kind: str, text: str, rows: Sequence[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    if rows:
        yield f"# HELP {name} {_escaped(text)}"
        yield f"# TYPE {name} {kind}"
    for labels, value in rows:
        inside = ",".join(f'{re.sub("[^a-zA-Z0-9_]", "_", key)}="{_escaped(v)}"' for key, v in sorted(labels.items()))
        yield f"{name}{{{inside}}} {value:.10g}" if inside else f"{name} {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
