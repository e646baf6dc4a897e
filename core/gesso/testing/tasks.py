"""Tasks without a queue: run in this process, in a data folder of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gesso.contributions import Task
from gesso.jobs.tasks import task_job
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service
from gesso.types import JobEvent


def run_task(host: Host, task: Task, told: Callable[[JobEvent], Any] = lambda event: None, **fields: Any) -> Any:
    """Run a task and return its result. `fields` are those of its record; without any those of its example.

    `told` gets every event, and cancels the task by returning True. Raises what the job raises. Imports torch.
    """
    from gesso.engine.control import Control

    control, results = Control(), []

    def follow(event: JobEvent) -> None:
        if event.kind == "result":
            results.append(event.data["result"])
        if told(event) is True:
            control.cancel()

    with tempfile.TemporaryDirectory(prefix="gesso-task-", ignore_cleanup_errors=True) as folder:
        service = Service(host, Paths.of(Path(folder)))
        service.run(task_job(service, task.name, fields or task.example), follow, control)
        service.executor.close()
    return results[-1] if results else None
