"""Tasks: work in the worker that is no generation. The same queue, events, artifacts and cancel as a picture's job."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from gesso.engine.control import StopBatchError
from gesso.engine.job_context import JobContext
from gesso.errors import GessoError
from gesso.types import Artifact, ArtifactKind

if TYPE_CHECKING:
    from gesso.contributions import Task


class TaskError(GessoError):
    """A task failed; says which and whose it is."""


class TaskContext(JobContext):
    """What a task sees of its job. `progress` ends it at once when a person cancels or interrupts it."""

    def __init__(self, *args: Any, **parts: Any) -> None:
        super().__init__(*args, **parts)
        self.artifacts: list[Artifact] = []
        self._made = set(self.job.done)

    @property
    def published(self) -> frozenset[int]:
        """Numbers of what this or an earlier attempt has published: a task that was killed goes on behind them."""
        return frozenset(index - 1 for index in self._made if index > 0)

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far the task is; raises when it is to stop."""
        super().progress(stage, done, total)
        self.check()

    def check(self) -> None:
        """Raise when the task is to stop. What was published stays."""
        self.control.check()
        if self.control.interrupted:
            raise StopBatchError

    def publish(
        self, data: bytes, mime: str, *, kind: ArtifactKind = "image", number: int = -1, **meta: Any
    ) -> Artifact:
        """A finished file, kept from now on whatever becomes of the task. Numbers count from 0 (-1: the next)."""
        number = max(self.published, default=-1) + 1 if number < 0 else number
        artifact = Artifact(kind=kind, file=self.blobs.put(data, mime), meta={**meta, "number": number})
        self.artifacts.append(artifact)
        self._made.add(number + 1)
        # Index 0 stands for the task as a whole, which is closed last.
        self.emit("artifact", artifact=artifact.model_dump(), index=number + 1)
        self.emit("progress", stage="batch", done=0, total=1, finished=[number + 1])
        return artifact


def run_task(ctx: TaskContext) -> list[Artifact]:
    """Run the job's task; what it returns becomes the event "result". TaskError names the plugin of one that fails."""
    registry = ctx.host.registry("tasks")
    task: Task = registry.get(ctx.job.task)
    ctx.emit("stage", stage=task.name, anchor="task")
    started = time.perf_counter()
    with ctx.resources:
        try:
            ctx.control.check()
            params = ctx.params(task.name, task.params)
            result = task.run.load()(ctx, params)
            if result is not None:
                ctx.emit("result", result=json.loads(json.dumps(dict(result), allow_nan=False)))
        except StopBatchError:
            return ctx.artifacts
        except GessoError:
            raise
        except Exception as error:
            owner = registry.owner(task.name)
            raise TaskError(f"{owner}: the task {task.name!r} failed: {type(error).__name__}: {error}") from error
    ctx.metric(f"stage.{task.name}", time.perf_counter() - started, "s")
    ctx.emit("progress", stage="batch", done=1, total=1, finished=[0])
    return ctx.artifacts
