"""What the page asks for a few times a second: how a session's work is going. Plain JSON, no Gradio."""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any

from gesso import HostService, JobEvent, JobProgress, JobRecord, text

LOOK_AGAIN_S = 1.0
"""How long a session's list of jobs may be old: another process may have added or moved some."""
SESSIONS = 1000
QUEUE = 50
"""Waiting jobs of a session that are listed."""
TITLE = 120
ENDS = ("done", "interrupted", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class _Jobs:
    """A session's jobs that are not over, and the number of others' that come first."""

    read: float
    changes: int
    mine: list[JobRecord]
    ahead: int
    paused: str


class Live:
    """Made once per page; `snapshot` is called from any thread."""

    def __init__(self, service: HostService) -> None:
        self._service = service
        self._changes = 0
        self._made: Counter[str] = Counter()
        self._run = secrets.token_hex(4)
        self._cache: OrderedDict[str, _Jobs] = OrderedDict()
        self._lock = threading.Lock()
        work = [(kind, item) for kind in ("stages", "tasks") for item in service.host.registry(kind)]
        self._stages = {item.name: text(f"{kind}.{item.name}", item.label) for kind, item in work}
        service.queue.subscribe(self._listen)

    def _listen(self, event: JobEvent) -> None:
        if event.kind in ("state", "artifact"):
            self._changes += 1
        if event.kind == "artifact" or event.data.get("state") in ENDS:
            self._made[self._service.queue.get(event.job).owner] += 1

    def look_again(self) -> None:
        """The order of waiting jobs has changed, of which the queue tells nobody."""
        self._changes += 1

    def snapshot(self, owner: str, job: str = "", preview: int = 0) -> dict[str, Any]:
        """The session's work now. A preview comes along when it is newer than number `preview` of `job`.

        Keys: `job` (the running one, or None), `queue` (the first that wait), `waiting` (queued jobs of the session),
        `ahead` (others' jobs before the first of them), `made` (changes when there is something new to show), `engine`,
        `memory` (texts).
        """
        jobs = self._jobs(owner)
        running = next((record for record in jobs.mine if record.state == "running"), None)
        waiting = [record for record in jobs.mine if record.state == "queued"]
        return {
            "job": None if running is None else self._job(running, preview if running.id == job else 0),
            "queue": [_row(record) for record in waiting[:QUEUE]],
            "waiting": len(waiting), "ahead": jobs.ahead, "made": f"{self._run}-{self._made[owner]}",
            "engine": jobs.paused or self._engine(), "memory": self._memory(),
        }  # fmt: skip

    def _jobs(self, owner: str) -> _Jobs:
        changes = self._changes
        with self._lock:
            known = self._cache.get(owner)
        now = time.monotonic()
        if known is not None and known.changes == changes and now - known.read < LOOK_AGAIN_S:
            return known
        active = self._service.queue.jobs("running", "queued")
        mine = [record for record in active if record.owner == owner]
        first = next((place for place, record in enumerate(active) if record.owner == owner), 0)
        queue = self._service.queue.state()
        paused = text("shell.live.paused", reason=queue.reason) if queue.paused else ""
        found = _Jobs(now, changes, mine, first, paused)
        with self._lock:
            self._cache[owner] = found
            self._cache.move_to_end(owner)
            if len(self._cache) > SESSIONS:
                self._cache.popitem(last=False)
        return found

    def _job(self, record: JobRecord, seen: int) -> dict[str, Any]:
        progress = self._service.progress.get(record.id) or JobProgress(record.id)
        stage = (
            text("shell.live.stopping")
            if record.wish
            else self._stages.get(progress.stage, progress.stage.capitalize())
        )
        new = progress.preview if progress.preview_number > seen else b""
        return {
            "id": record.id, "stage": stage or self._engine() or text("shell.live.begins"), "done": progress.done,
            "total": progress.total, "rate": progress.rate, "seconds_left": progress.seconds_left,
            "pictures": progress.pictures, "pictures_total": record.total,
            "batch_size": record.job.request.batch_size, "preview_number": progress.preview_number,
            "preview": f"data:image/jpeg;base64,{base64.b64encode(new).decode()}" if new else "",
            "warnings": progress.warnings,
        }  # fmt: skip

    def _engine(self) -> str:
        """What to know about runner and worker; "" when all is well."""
        runner = self._service.runner.status
        if runner.state == "stalled":
            return runner.message
        state = self._service.worker.state
        return text(f"shell.engine.{state}") if state in ("starting", "waiting", "failed", "closed") else ""

    def _memory(self) -> str:
        """In use and in all, by whatever program: "RAM 5.1/24 GB · VRAM 3.2/8 GB"."""
        found = {(m.name, m.labels.get("device", "")): m.value for m in self._service.publisher.latest()}
        devices = sorted(device for name, device in found if name == "memory.device_total")
        rows = [("RAM", "memory.system", "memory.system_total", "")]
        for device in devices:
            label = "VRAM" if len(devices) == 1 else device
            rows.append((label, "memory.device_used", "memory.device_total", device))
        parts = [
            f"{label} {found[used, device] / 2**30:.1f}/{found[total, device] / 2**30:.0f} GB"
            for label, used, total, device in rows
            if (used, device) in found and found.get((total, device))
        ]
        return " · ".join(parts)


def _row(record: JobRecord) -> dict[str, Any]:
    """A waiting job as the list shows it."""
    job = record.job
    title = text(f"tasks.{job.task}", job.task) if job.kind == "task" else " ".join(job.request.prompt[:TITLE].split())
    return {"id": record.id, "title": title, "total": record.total}
