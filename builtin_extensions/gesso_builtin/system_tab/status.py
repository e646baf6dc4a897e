"""How machine and program are doing, as plain data, as HTML and as a text for an issue. No Gradio."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gesso
from gesso import HostService, text

Rows = list[tuple[str, str]]
GIB = 2**30
HIGH = 0.9
"""From this share on a bar says that it is getting tight."""


def status(service: HostService) -> dict[str, Any]:
    """Everything the tab shows: `memory` and `disk` as (name, used, total) in bytes, the rest as (label, value)."""
    latest = {(m.name, m.labels.get("process", ""), m.labels.get("device", "")): m for m in service.publisher.latest()}

    def value(name: str, process: str = "", device: str = "") -> float | None:
        found = latest.get((name, process, device))
        return None if found is None else found.value

    memory = [("RAM", value("memory.system"), value("memory.system_total"))]
    for device in sorted({key[2] for key in latest if key[0] == "memory.device_total"}):
        used, total = (value(f"memory.device_{what}", "worker", device) for what in ("used", "total"))
        memory.append((device, used, total))
    disk = shutil.disk_usage(service.paths.home if service.paths.home.exists() else service.paths.home.anchor)
    return {
        "memory": [(name, used, total) for name, used, total in memory if used is not None and total],
        "disk": [(str(service.paths.home), float(disk.used), float(disk.total))],
        "processes": _processes(latest), "worker": _worker(service), "queue": _queue(service),
        "times": _times(latest), "versions": _versions(service),
    }  # fmt: skip


def _processes(latest: Mapping[tuple[str, str, str], Any]) -> Rows:
    """What each process of gesso holds, in RAM and on devices."""
    names = {"memory.rss": "RAM", "memory.device": "", "memory.device_peak": "peak"}
    rows = []
    for (name, process, device), metric in sorted(latest.items()):
        if name in names:
            label = " ".join(part for part in (process, device, names[name]) if part)
            rows.append((label, size(metric.value)))
    return rows


def _worker(service: HostService) -> Rows:
    worker = getattr(service, "worker", None)
    if worker is None:
        return []
    rows = [("state", str(worker.state)), ("restarts", str(worker.restarts))]
    if worker.last_death is not None:
        rows.append(("death", worker.last_death.how()))
    if (hello := worker.hello) is not None:
        devices = ", ".join(f"{one.name} ({one.label}, {size(one.memory)})" for one in hello.devices)
        rows += [
            ("device", hello.device),
            ("devices", devices),
            ("threads", str(hello.threads)),
            ("pid", str(hello.pid)),
        ]
    return rows


def _queue(service: HostService) -> Rows:
    state = service.queue.state()
    rows: Rows = [(name, f"{count:,}") for name, count in state.counts.items()]
    return [*rows, ("paused", state.reason or "yes")] if state.paused else rows


def _times(latest: Mapping[tuple[str, str, str], Any]) -> Rows:
    """The last measured times: a step, a job, each stage."""
    return [(key[0], f"{metric.value:.2f} s") for key, metric in sorted(latest.items()) if metric.unit == "s"]


def _versions(service: HostService) -> Rows:
    worker = getattr(service, "worker", None)
    hello = worker.hello if worker is not None else None
    known = {"gesso": gesso.__version__, "python": platform.python_version(), "system": platform.platform()}
    if hello is not None:
        known |= {name: hello.versions[name] for name in ("torch", "diffusers") if name in hello.versions}
    return list(known.items())


def size(number: float) -> str:
    return f"{number / GIB:.2f} GB" if number >= GIB else f"{number / 2**20:.0f} MB"


def page(found: Mapping[str, Any]) -> str:
    """The tab's HTML."""
    bars = "".join(_bar(*row) for row in (*found["memory"], *found["disk"]))
    parts = [f'<section class="gy-bars"><h2>{text("system_tab.memory")}</h2>{bars}</section>']
    for name in ("worker", "processes", "queue", "times", "versions"):
        if rows := found[name]:
            parts.append(f"<section><h2>{text(f'system_tab.{name}')}</h2>{_table(name, rows)}</section>")
    return f'<div class="gy-parts">{"".join(parts)}</div>'


def _bar(name: str, used: float, total: float) -> str:
    share = min(1.0, used / total)
    look = "gy-fill gy-high" if share >= HIGH else "gy-fill"
    words = f"{used / GIB:.1f}/{total / GIB:.1f} GB"
    return (
        f'<div class="gy-row"><p><span>{escape(name)}</span><span>{words}</span></p>'
        f'<div class="gy-bar" role="meter" aria-label="{escape(name)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{share * 100:.0f}" aria-valuetext="{words}">'
        f'<div class="{look}" style="width:{share * 100:.1f}%"></div></div></div>'
    )


def _table(name: str, rows: Sequence[tuple[str, str]]) -> str:
    """Labels of worker and queue have words of their own; the others are names."""
    own = name in ("worker", "queue")
    cells = []
    for label, value in rows:
        words = text(f"system_tab.{name}.{label}", label) if own else escape(label)
        cells.append(f"<div><dt>{words}</dt><dd>{escape(value)}</dd></div>")
    return f"<dl>{''.join(cells)}</dl>"


def report(found: Mapping[str, Any]) -> str:
    """A text for an issue; no folder of a person is in it."""
    lines = [f"{name}: {used / GIB:.1f}/{total / GIB:.1f} GB" for name, used, total in found["memory"]]
    for name in ("versions", "worker", "processes", "queue", "times"):
        lines += ["", f"{name}:", *(f"  {label}: {value}" for label, value in found[name])]
    return f"{time.strftime('%Y-%m-%d %H:%M')}\n" + "\n".join(lines) + "\n"
