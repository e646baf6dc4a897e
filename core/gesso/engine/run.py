"""`run_job`: one job from request to artifacts. A plain function; executors only move its arguments."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from gesso.contributions import Stage
from gesso.engine.context import RunContext
from gesso.engine.control import Control, StopBatchError
from gesso.engine.stages import resolve_order
from gesso.engine.tasks import TaskContext, run_task
from gesso.errors import GessoError, JobCancelledError, LazyReferenceError
from gesso.plugins.patches import NN
from gesso.types import Artifact, Job, JobEvent

if TYPE_CHECKING:
    from gesso.engine.blobs import Blobs
    from gesso.models.residency import Residency
    from gesso.plugins.boundary import Failure
    from gesso.plugins.host import Host
    from gesso.plugins.state import LivePlugin

Emit = Callable[[JobEvent], None]
ONCE = ("prepare", "load")
"""Anchors whose stages run once a job, before the first batch; the others run for every batch."""
LAST = "publish"
"""The anchor whose stages run once a job, when every batch is done and told of."""


class StageError(GessoError):
    """A stage failed; says which and whose it is."""


def run_job(
    job: Job, blobs: Blobs, emit: Emit, *, host: Host, residency: Residency, control: Control | None = None
) -> list[Artifact]:
    """Run the job and return what it made, in order.

    `emit` gets every event, the last being "state" with done, interrupted, cancelled or failed. Raises GessoError when
    the job fails and JobCancelledError when it was dropped.
    """
    teller = _Teller(job, emit)
    control = control or Control()
    teller.tell("state", {"state": "running"})
    host.watch(NN)
    host.error_listeners.append(teller.warn)
    try:
        if job.kind == "task":
            parts: Any = {"host": host, "blobs": blobs, "residency": residency, "control": control}
            artifacts = run_task(TaskContext(job, emit=teller.tell, **parts))
        else:
            artifacts = _Run(job, blobs, teller, host, residency, control).all()
    except JobCancelledError:
        teller.tell("state", {"state": "cancelled"})
        raise
    except GessoError as error:
        teller.fail(error)
        raise
    except Exception as error:
        teller.fail(error)
        raise GessoError(f"The job failed: {type(error).__name__}: {error}") from error
    finally:
        host.error_listeners.remove(teller.warn)
        host.tidy()
    teller.tell("state", {"state": "interrupted" if control.interrupted else "done", "artifacts": len(artifacts)})
    return artifacts


class _Teller:
    """Numbers a job's events."""

    def __init__(self, job: Job, emit: Emit) -> None:
        self._job, self._emit, self._seq = job, emit, 0
        self._thread = threading.get_ident()

    def tell(self, kind: Any, data: dict[str, Any]) -> None:
        self._emit(JobEvent(job=self._job.id, kind=kind, seq=self._seq, data=data))
        self._seq += 1

    def warn(self, plugin: LivePlugin, hook: str, failure: Failure) -> None:
        """A plugin failed while the job ran; event threads are not its matter."""
        if threading.get_ident() == self._thread:
            text = f"{plugin.entry.id} {plugin.entry.version} failed in {hook} ({failure.phase}): {failure.error}"
            self.tell("warning", {"message": text, "plugin": plugin.entry.id, "hook": hook})

    def fail(self, error: BaseException) -> None:
        text = "".join(traceback.format_exception(error))
        self.tell("error", {"type": type(error).__name__, "message": str(error), "traceback": text})
        self.tell("state", {"state": "failed"})


class _Run:
    def __init__(
        self, job: Job, blobs: Blobs, teller: _Teller, host: Host, residency: Residency, control: Control
    ) -> None:
        self.job, self.host, self.control, self.teller = job, host, control, teller
        self.ctx = RunContext(job, host=host, blobs=blobs, residency=residency, emit=teller.tell, control=control)
        self.artifacts: list[Artifact] = []
        self.finished = len(job.done)
        """Pictures."""
        self.dropped = False
        """Whether a person skipped a batch, or a stage did."""

    def all(self) -> list[Artifact]:
        registry = self.host.registry("stages")
        order, problems = resolve_order(registry)
        lost = [f"{registry.owner(name)}: the stage {name} is left out: it {text}." for name, text in problems.items()]
        for message in lost:
            self.teller.tell("warning", {"message": message})
        once = [stage for stage in order if stage.anchor in ONCE]
        every = [stage for stage in order if stage.anchor not in (*ONCE, LAST)]
        with ExitStack() as stack:
            stack.callback(self._let_go)
            for stage in once:
                self._stage(stage)
            if self.ctx.model is not None:
                stack.enter_context(self.ctx.in_use())
            self._batches(every)
        if not (self.artifacts or self.job.made or self.dropped or self.control.interrupted):
            raise GessoError(
                "The job ran to its end and made no picture.",
                hint="\n".join(["No stage gave one to save. See which plugins failed: gesso plugins list", *lost]),
            )
        self._publish([stage for stage in order if stage.anchor == LAST])
        return self.artifacts

    def _publish(self, stages: list[Stage]) -> None:
        """What comes after the last picture. It gets an index of its own, and a failure costs a warning, no picture."""
        index, made = self.job.request.batch_size * self.job.request.count, [*self.job.made, *self.artifacts]
        if not stages or not made or index in self.job.done:
            return
        self.ctx.begin_batch([], index)
        self.ctx.artifacts = made
        try:
            for stage in stages:
                self._stage(stage)
        except (GessoError, StopBatchError) as error:
            if isinstance(error, JobCancelledError):
                raise
            self.teller.tell("warning", {"message": str(error)})
            return
        if told := self._published():
            self.artifacts.extend(told)
            self.teller.tell("progress", {"stage": "batch", "done": self.finished, "total": index, "finished": [index]})

    def _batches(self, stages: list[Stage]) -> None:
        request = self.job.request
        total, done = request.batch_size * request.count, set(self.job.done)
        self.teller.tell("progress", {"stage": "batch", "done": len(done), "total": total})
        for start in range(0, total, request.batch_size):
            self.control.check()
            if self.control.interrupted:
                return
            indices = range(start, min(start + request.batch_size, total))
            if done.issuperset(indices):
                continue
            self.control.next_batch()
            self.ctx.begin_batch([(request.seed + i) % 2**64 for i in indices], start)
            try:
                for stage in stages:
                    self._stage(stage)
                self.artifacts.extend(self._published())
            except StopBatchError:
                if self.control.interrupted:
                    return
                self.dropped = True
            done.update(indices)
            self.finished = len(done)
            # "finished" closes the batch: the store keeps its artifacts and leaves it out of a later attempt.
            self.teller.tell(
                "progress", {"stage": "batch", "done": len(done), "total": total, "finished": list(indices)}
            )

    def _published(self) -> list[Artifact]:
        made = []
        for output in self.ctx.outputs:
            if output.file is not None:
                artifact = Artifact(kind=output.kind, file=output.file, meta=output.meta)
                self.teller.tell("artifact", {"artifact": artifact.model_dump(), "index": output.index})
                made.append(artifact)
        return made

    def _stage(self, stage: Stage) -> None:
        self.control.check()
        started = time.perf_counter()
        self.teller.tell("stage", {"stage": stage.name, "anchor": stage.anchor})
        try:
            stage.run.load()(self.ctx)
        except StopBatchError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and self.host.process == "both":
                raise  # Ctrl-C
            if isinstance(error, GessoError) and not isinstance(error, LazyReferenceError):
                raise
            # Most stages are gesso's own, and call others' samplers, guiders, operators.
            owner = self.host.blame(error, self.host.registry("stages").owner(stage.name))
            self.host.note(owner, error, phase="stage", hook=f"the stage {stage.name}")
            text = f"{owner}: the stage {stage.name!r} failed: {type(error).__name__}: {error}"
            hint = "" if owner.startswith("gesso:") else f"To do without it: gesso plugins disable {owner}"
            raise StageError(text, hint=hint) from error
        self.ctx.metric(f"stage.{stage.name}", time.perf_counter() - started, "s")

    def _let_go(self) -> None:
        self.ctx.resources.close()
