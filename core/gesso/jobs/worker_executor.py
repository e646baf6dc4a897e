"""The default executor: jobs run in a worker process, so that no crash there touches this one. Imports no torch."""

from __future__ import annotations

import base64
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.engine.blobs import Blobs, MemoryBlobs
from gesso.engine.control import Control
from gesso.errors import GessoError, JobCancelledError
from gesso.jobs.death import Death, WorkerDiedError, WorkerStartError
from gesso.jobs.frames import Frame, FrameError
from gesso.jobs.log_file import LogFile
from gesso.jobs.process import WorkerProcess
from gesso.jobs.protocol import Hello, Start, WorkerSettings, error_data, error_from
from gesso.jobs.supervisor import State, Supervisor
from gesso.jobs.watchdog import Watch
from gesso.plugins.selection import Selection
from gesso.telemetry import Publisher, memory, system_memory
from gesso.types import Artifact, FileRef, Job, JobEvent, Metric, ModelRef, PluginState

if TYPE_CHECKING:
    from gesso.jobs.executors import Emit
    from gesso.models.library import Library
    from gesso.paths import Paths
    from gesso.settings import CoreSettings

POLL_SECONDS = 0.05
"""How soon interrupt, skip and cancel reach the worker."""
TRIES = 3
"""Workers to try before giving up a job that none of them has begun."""


class WorkerExecutor:
    """Runs jobs in one worker process, one at a time; further callers wait their turn. Thread-safe.

    `library` finds models and `blobs` hold files for the worker too: what the host knows is what it goes by.
    """

    def __init__(
        self,
        paths: Paths,
        library: Library,
        settings: CoreSettings,
        *,
        selection: Selection | None = None,
        options: WorkerSettings | None = None,
        blobs: Blobs | None = None,
        publisher: Publisher | None = None,
    ) -> None:
        self.blobs: Blobs = blobs if blobs is not None else MemoryBlobs()
        self.options = options or WorkerSettings()
        self.publisher = publisher
        self._library = library
        self._log = LogFile(paths.logs / "worker.log")
        chosen = selection or Selection()
        self._start = Start(
            home=paths.home, safe_mode=chosen.safe_mode, only=chosen.only, without=chosen.without,
            plugins_dir=chosen.plugins_dir, device=settings.device, dtype=settings.dtype,
            operator=settings.operator, models_in_memory=settings.models_in_memory, settings=self.options,
        )  # fmt: skip
        self._supervisor = Supervisor(self._new_process, self.options.start_seconds)
        self._turn = threading.Lock()
        self._models: tuple[str, ...] = ()
        self._plugins: dict[str, PluginState] = {}

    # --- its state ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the worker in the background; returns at once. `run` does it too."""
        self._supervisor.start()

    @property
    def state(self) -> State:
        """stopped, starting, ready, failed (tried again when a job asks), closed."""
        return self._supervisor.state

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self._turn.locked()

    @property
    def hello(self) -> Hello | None:
        """Devices, versions, plugins and process id, once the worker is ready."""
        process = self._supervisor.process
        return None if process is None else process.hello

    @property
    def restarts(self) -> int:
        """How often the worker died."""
        return self._supervisor.restarts

    @property
    def last_death(self) -> Death | None:
        """How it died last."""
        return self._supervisor.last_death

    def loaded(self) -> tuple[str, ...]:
        """Hashes of the models the worker holds in memory, as it said last."""
        return self._models if self.hello is not None else ()

    def plugins(self) -> dict[str, PluginState]:
        """Its plugins by id, with counters and errors, as it said last."""
        hello = self.hello
        states = {} if hello is None else {state.id: state for state in hello.plugins}
        return states | self._plugins

    def unload(self) -> None:
        """Tell the worker to forget the models in memory, after the job that runs. `loaded` says when it has."""
        process = self._supervisor.process
        if process is not None:
            process.send("unload")

    def reset_plugin(self, plugin: str) -> None:
        """Tell the worker to forget a plugin's errors and to call it again."""
        process = self._supervisor.process
        self._plugins.pop(plugin, None)
        if process is not None:
            process.send("reset", {"plugin": plugin})

    def wait_ready(self, timeout: float | None = None) -> Hello:
        """Wait for the worker's hello. WorkerStartError when it cannot be started, TimeoutError after `timeout` s."""
        patience = _Patience(timeout)
        process = self._supervisor.ready(patience)
        assert process.hello is not None
        return process.hello

    def files(self, job: Job) -> list[Path]:
        """None: whoever asked for the job writes its files."""
        return []

    def close(self, timeout: float = 5.0) -> None:
        """End the worker: in good order within `timeout` seconds when it is idle, killed otherwise."""
        self._supervisor.close(0.0 if self.busy else timeout)
        self._log.close()

    # --- jobs -----------------------------------------------------------------------------------------------------

    def run(self, job: Job, emit: Emit, control: Control | None = None) -> list[Artifact]:
        """Run the job in the worker; events are emitted on this thread, as `run_job` would.

        Raises what `run_job` raises, WorkerDiedError when the worker's process ended or was ended because the job stood
        still, and WorkerStartError when none can be started. A worker that ends before it began with the job costs a
        new start, not the job.
        """
        control = control or Control()
        with self._my_turn(job, emit, control):
            for left in reversed(range(TRIES)):
                process = self._ready(job, emit, control)
                try:
                    return _Course(self, process, job, emit, control).run()
                except _NotBegunError as error:
                    if not left:
                        raise error.died from None
        raise AssertionError("unreachable")

    def _ready(self, job: Job, emit: Emit, control: Control) -> WorkerProcess:
        try:
            return self._supervisor.ready(control)
        except JobCancelledError:
            emit(JobEvent(job=job.id, kind="state", data={"state": "cancelled"}))
            raise
        except WorkerStartError as error:
            for event in _failure(job, error, 0):
                emit(event)
            raise

    @contextmanager
    def _my_turn(self, job: Job, emit: Emit, control: Control) -> Iterator[None]:
        while not self._turn.acquire(timeout=POLL_SECONDS):
            if control.cancelled:
                emit(JobEvent(job=job.id, kind="state", data={"state": "cancelled"}))
                control.check()
        try:
            yield
        finally:
            self._turn.release()

    # --- what the worker asks and tells outside of events ---------------------------------------------------------

    def _new_process(self) -> WorkerProcess:
        self._plugins = {}  # a new worker starts with fresh counters
        return WorkerProcess(self._start, self._log, self._answer, self._on_beat)

    def _answer(self, question: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """A blob's bytes or a model's entry; an error is the asker's."""
        try:
            if question.get("what") == "blob":
                return {}, self.blobs.get(FileRef.model_validate(question["ref"]))
            if question.get("what") == "hashed":
                entry = self._library.find(str(question["path"]), str(question["role"]))
                self._library.learn(entry, str(question["hash"]))
                return {}, b""
            ref, role = question["ref"], str(question.get("role", "checkpoint"))
            wanted = ModelRef.model_validate(ref) if isinstance(ref, dict) else str(ref)
            return {"entry": self._library.find(wanted, role).model_dump(mode="json")}, b""
        except GessoError as error:
            return {"error": error_data(error)}, b""
        except Exception as error:
            return {"error": {"type": "GessoError", "message": f"{type(error).__name__}: {error}"}}, b""

    def _on_beat(self, data: dict[str, Any]) -> None:
        self._models = tuple(data.get("models", ()))
        self._plugins |= {state.id: state for state in map(PluginState.model_validate, data.get("plugins", ()))}
        if self.publisher is None:
            return
        for metric in (memory("host"), *system_memory()):
            self.publisher.publish(metric)
        for values in data.get("metrics", ()):
            self.publisher.publish(Metric.model_validate(values))


class _Patience(Control):
    """A control that gives up after a while."""

    def __init__(self, timeout: float | None) -> None:
        super().__init__()
        self._until = None if timeout is None else time.monotonic() + timeout

    def check(self) -> None:
        if self._until is not None and time.monotonic() > self._until:
            raise TimeoutError("The worker is not ready yet.")


class _NotBegunError(Exception):
    """The worker ended before the job had begun."""

    def __init__(self, died: WorkerDiedError) -> None:
        super().__init__(str(died))
        self.died = died


class _Course:
    """One job on one worker."""

    def __init__(
        self, executor: WorkerExecutor, process: WorkerProcess, job: Job, emit: Emit, control: Control
    ) -> None:
        self._executor, self._process, self._job = executor, process, job
        self._emit, self._control = emit, control
        self._watch = Watch(executor.options)
        self._seq = -1
        self._told: set[str] = set()
        self._handlers: dict[str, Callable[[Frame], None]] = {
            "event": self._event, "blob": self._blob, "preview": self._preview, "beat": lambda _: self._watch.beat(),
        }  # fmt: skip

    def run(self) -> list[Artifact]:
        inbox = self._process.attach(self._job.id)
        self._process.send("job", {"job": self._job.model_dump(mode="json")})
        over = False
        try:
            while True:
                item = self._next(inbox)
                if item is None:
                    continue
                over = isinstance(item, Death) or item.kind in ("done", "failed")
                if isinstance(item, Death):
                    raise self._died(item)
                if item.kind == "done":
                    return [Artifact.model_validate(artifact) for artifact in item.data["artifacts"]]
                if item.kind == "failed":
                    raise error_from(item.data)
                self._take(item)
        finally:
            if not over:
                self._stop(inbox)
            self._process.detach()

    def _next(self, inbox: queue.Queue[Frame | Death]) -> Frame | Death | None:
        """What has come, None when nothing has; meanwhile controls go out and the watchdog looks."""
        self._forward()
        if reason := self._watch.disobeyed():
            self._process.kill(reason)
        try:
            return inbox.get(timeout=POLL_SECONDS)
        except queue.Empty:
            if reason := self._watch.stalled():
                self._process.kill(reason)
            return None

    def _forward(self) -> None:
        """Interrupt and cancel once, skip as often as it is set."""
        control = self._control
        wanted = {"interrupt": control.interrupted, "cancel": control.cancelled, "skip": control.skipped}
        for what in [what for what, is_set in wanted.items() if is_set and what not in self._told]:
            self._process.send("control", {"job": self._job.id, "what": what})
            if what == "skip":
                control.next_batch()
            else:
                self._told.add(what)
            if what == "cancel":
                self._watch.cancel()

    def _stop(self, inbox: queue.Queue[Frame | Death]) -> None:
        """Something failed on this side (an emit, the disk): the worker is not to go on with a job nobody follows."""
        self._process.send("control", {"job": self._job.id, "what": "cancel"})
        self._watch.cancel()
        while not (reason := self._watch.disobeyed()):
            with contextlib.suppress(queue.Empty):
                item = inbox.get(timeout=POLL_SECONDS)
                if isinstance(item, Death) or item.kind in ("done", "failed"):
                    return
        self._process.kill(reason)

    def _take(self, frame: Frame) -> None:
        handler = self._handlers.get(frame.kind)
        if handler is None:
            raise FrameError(f"The worker sent a message of an unknown kind, {frame.kind!r}.")
        handler(frame)

    def _event(self, frame: Frame) -> None:
        event = JobEvent.model_validate(frame.data["event"])
        self._seq = event.seq
        self._watch.saw(event.kind, event.data)
        self._emit(event)

    def _blob(self, frame: Frame) -> None:
        ref = FileRef.model_validate(frame.data["ref"])
        if self._executor.blobs.put(frame.raw, ref.type).sha256 != ref.sha256:
            raise FrameError(f"The file {ref.sha256[:12]} came from the worker with other content.")
        self._watch.saw("blob", {})

    def _preview(self, frame: Frame) -> None:
        """Previews stand outside the numbered events: they repeat the last number and are not worth keeping."""
        data = {key: value for key, value in frame.data.items() if key != "job"}
        data["image"] = base64.b64encode(frame.raw).decode()
        self._emit(JobEvent(job=self._job.id, kind="preview", seq=max(self._seq, 0), data=data))
        self._process.send("seen")

    def _died(self, death: Death) -> Exception:
        if self._control.cancelled:
            self._emit(JobEvent(job=self._job.id, kind="state", seq=self._seq + 1, data={"state": "cancelled"}))
            return JobCancelledError("The job was cancelled.")
        error = self._explain(death)
        if not self._watch.begun:
            return _NotBegunError(error)
        for event in _failure(self._job, error, self._seq + 1):
            self._emit(event)
        return error

    def _explain(self, death: Death) -> WorkerDiedError:
        """The death in a person's words: how, at which stage, whose code, what to do."""
        stage, plugin = self._watch.stage, self._suspect(death)
        where = f" in the stage {stage!r}" if stage else ""
        if plugin and death.place is not None and death.place.plugin:
            where += f", in code of the plugin {plugin} ({death.place})"
        elif plugin:
            where += f", which is the plugin {plugin}'s"
        elif death.place is not None:
            where += f" ({death.place})"
        hint = "A new worker is started; other jobs go on."
        if plugin:
            hint += f" To do without the plugin: gesso --without {plugin}."
        message = f"The worker process {death.how()}{where}. Its log is {death.log}."
        return WorkerDiedError(message, death, hint=hint, stage=stage, plugin=plugin)

    def _suspect(self, death: Death) -> str:
        """The plugin whose line ran; else the owner of the sampler or stage, unless that is a built-in."""
        if death.place is not None and death.place.plugin:
            return death.place.plugin
        hello = self._process.hello
        if death.by_chance or hello is None:
            return ""
        stages = "tasks" if self._job.kind == "task" else "stages"
        owner = hello.owners.get(stages, {}).get(self._watch.stage, "")
        if self._watch.anchor == "sample":
            owner = hello.owners.get("samplers", {}).get(self._job.request.sampler, owner)
        return owner if owner in hello.folders else ""


def _failure(job: Job, error: WorkerDiedError, seq: int) -> list[JobEvent]:
    """The events a job ends with when the worker cannot send them."""
    data = {
        "type": type(error).__name__, "message": str(error), "traceback": "\n".join(error.death.lines),
        "exit": error.death.code, "signal": error.death.signal, "stage": error.stage, "plugin": error.plugin,
        "retry": error.retry,
    }  # fmt: skip
    return [
        JobEvent(job=job.id, kind="error", seq=seq, data=data),
        JobEvent(job=job.id, kind="state", seq=seq + 1, data={"state": "failed"}),
    ]
