"""The worker process: `python -m gesso.jobs.worker`, started by the host and spoken to in frames.

Standard input and output become private at once, and everything that is printed goes to the log: no plugin's print gets
between the frames. One thread reads; jobs run on the main thread; the process ends when its pipe does.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import platform
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gesso
from gesso.errors import GessoError
from gesso.jobs.frames import Channel, FrameError
from gesso.jobs.protocol import BEAT_SECONDS, PROTOCOL, Device, Hello, Start, error_data
from gesso.jobs.worker_link import CORRUPT, UNLOAD, HostBlobs, HostLibrary, Link
from gesso.plugins.host import Host
from gesso.plugins.patches import NN
from gesso.telemetry import device_memory, memory
from gesso.types import Job, JobEvent, PluginState

if TYPE_CHECKING:
    from collections.abc import Callable

BROKEN_DEVICE = 75
"""Exit status when the device answers no more (EX_TEMPFAIL): a new process gets it back."""
FOLLOW_SECONDS = 1.0
"""How often an idle worker looks whether plugins were enabled or disabled."""
_PR_SET_PDEATHSIG = 1


def take_over() -> Channel:
    """Keep the pipes for frames; give everything else an empty input, and the log as output and error output."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    for stream in (sys.stdout, sys.stderr):
        cast("Any", stream).reconfigure(line_buffering=True, errors="backslashreplace")
    faulthandler.enable(file=2, all_threads=True)
    if sys.platform != "win32":
        faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
    return Channel(os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb"))


def die_with_parent() -> None:
    """Linux: the kernel kills this process when the thread that started it ends, even within a long C call."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class WorkerHost(Host):
    """The worker's plugins. The core watches steps too, for previews, without being a plugin."""

    watch_step: Callable[..., None] | None = None

    def emit(self, hook: str, /, **kwargs: Any) -> None:
        if self.watch_step is not None and hook == "gesso_on_step":
            self.watch_step(**kwargs)
        super().emit(hook, **kwargs)

    def folders(self) -> dict[str, str]:
        """Plugin → folder of its code, but for built-ins: their code is in every traceback."""
        built_in = {state.name for state in self.states if state.built_in}
        found = {}
        for package, plugin in self._owners.items():
            file = getattr(sys.modules.get(package), "__file__", None)
            if file and plugin.rpartition(":")[2] not in built_in:
                path = Path(file)
                found[plugin] = str(path.parent if path.name == "__init__.py" else path)
        return found


class Worker:
    """Plugins, models in memory, and the jobs that use them. Making one imports torch."""

    def __init__(self, link: Link, start: Start) -> None:
        self._link, self._settings = link, start.settings
        seconds = {}
        begun = time.perf_counter()
        _stand_back(self._settings.niceness)
        self._host = cast("WorkerHost", WorkerHost.load("worker", home=start.home, selection=start.selection()))
        self._host.fill()
        seconds["plugins"] = time.perf_counter() - begun
        begun = time.perf_counter()
        import torch

        if self._settings.threads:
            torch.set_num_threads(self._settings.threads)
        seconds["torch"] = time.perf_counter() - begun
        begun = time.perf_counter()
        from gesso.jobs.previews import Previewer
        from gesso.models.residency import Residency

        self._blobs = HostBlobs(link)
        self._library = HostLibrary(link, self._host, self._host.paths.cache / "models.sqlite3")
        self._residency = Residency(
            self._host,
            self._library,
            device=start.device,
            dtype=start.dtype,
            operator=start.operator,
            limit=start.models_in_memory,
        )
        self._previews = Previewer(
            self._host,
            lambda data, raw: link.send("preview", data, raw),
            at_once=self._residency.device.type == "cpu",
            seconds=self._settings.preview_seconds,
            side=self._settings.preview_side,
        )
        self._host.watch_step = self._previews.offer
        self._host.watch(NN)
        self._told: dict[str, PluginState] = {}
        link.on_seen = self._previews.seen
        link.on_reset = self._host.reset
        seconds["engine"] = time.perf_counter() - begun
        link.send("hello", self._hello(seconds).model_dump(mode="json"))

    def serve(self) -> None:
        """Run jobs until told to close."""
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        self._host.emit("gesso_on_startup", process="worker")
        self._warm_up()
        while (data := self._next()) is not None:
            self._job(data)
        self._host.emit("gesso_on_shutdown", process="worker")
        self._host.close()

    def _next(self) -> dict[str, Any] | None:
        """The next job; None: close. Between jobs, plugins are switched as a person has said meanwhile."""
        while True:
            try:
                data = self._link.jobs.get(timeout=FOLLOW_SECONDS)
            except queue.Empty:
                if self._host.follow():
                    self._send_beat()
                continue
            if data is UNLOAD:
                self._unload()
                continue
            self._host.follow()
            return data

    def _warm_up(self) -> None:
        """Import, while nobody waits, what a job with the first model would import (several seconds of diffusers)."""
        import gesso.engine.run
        import gesso.metadata.images  # noqa: F401

        with contextlib.suppress(GessoError):
            host = self._host
            family = host.registry("families").get(self._library.find("").family)
            parts = [*family.parts.values(), host.registry("vaes").get(family.vae).part]
            parts += [host.registry("text_encoders").get(use.encoder).part for use in family.text]
            for part in parts:
                if not self._link.jobs.empty():
                    return
                part.build.load()

    def _job(self, data: dict[str, Any]) -> None:
        from gesso.engine.run import run_job

        identity, link = str(data["id"]), self._link
        self._blobs.job = identity
        self._previews.begin()
        control = link.control(identity)
        try:
            job = Job.model_validate(data)
            made = run_job(job, self._blobs, self._tell, host=self._host, residency=self._residency, control=control)
            self._send_beat()  # before the job is over for the host: what plugins did in it is known by then
            link.send("done", {"job": identity, "artifacts": [artifact.model_dump() for artifact in made]})
        except OSError:
            raise  # the pipe
        except BaseException as error:  # SystemExit and the like end a job, not the worker
            told = error if isinstance(error, GessoError) else GessoError(f"The job ended by {error!r}.")
            self._send_beat()
            link.send("failed", {"job": identity, **error_data(told)})
            self._check_device()
        finally:
            link.forget(identity)

    def _unload(self) -> None:
        """Models out of memory, and what torch keeps of it for later back to the device."""
        self._residency.unload()
        if self._residency.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()
        self._send_beat()

    def _tell(self, event: JobEvent) -> None:
        self._link.send("event", {"job": event.job, "event": event.model_dump()})

    def _check_device(self) -> None:
        """A CUDA context that met an illegal access fails every later call; only a new process helps."""
        device = self._residency.device
        if device.type == "cuda":
            import torch

            try:
                torch.cuda.synchronize(device)
            except RuntimeError as error:
                print(f"gesso worker: the device {device} answers no more: {error}", file=sys.stderr, flush=True)
                os._exit(BROKEN_DEVICE)

    def _beat(self) -> None:
        """Tell that the process is alive, and what it holds."""
        with contextlib.suppress(OSError, ValueError):
            while True:
                self._send_beat()
                time.sleep(BEAT_SECONDS)

    def _send_beat(self) -> None:
        metrics = [memory("worker"), *device_memory("worker")]
        models = [model.ref.hash for model in self._residency.loaded()]
        beat = {"metrics": [metric.model_dump() for metric in metrics], "models": models, "plugins": self._news()}
        self._link.send("beat", beat)

    def _news(self) -> list[dict[str, Any]]:
        """States of plugins that are not what was told last."""
        new = [state for state in self._host.states if self._told.get(state.id) != state]
        self._told |= {state.id: state for state in new}
        return [state.model_dump() for state in new]

    def _hello(self, seconds: dict[str, float]) -> Hello:
        import importlib.metadata

        import torch

        host = self._host
        versions = {"python": platform.python_version(), "gesso": gesso.__version__, "torch": torch.__version__}
        versions["diffusers"] = importlib.metadata.version("diffusers")
        owners = {}
        for name in ("stages", "samplers", "tasks"):
            registry = host.registry(name)
            owners[name] = {record.name: registry.owner(record.name) for record in registry}
        return Hello(
            protocol=PROTOCOL,
            pid=os.getpid(),
            device=str(self._residency.device),
            devices=tuple(devices()),
            threads=torch.get_num_threads(),
            versions={**host.versions(), **versions},
            plugins=tuple(host.states),
            owners=owners,
            folders=host.folders(),
            seconds={name: round(value, 3) for name, value in seconds.items()},
        )


def devices() -> list[Device]:
    """What models can run on here, the CPU last."""
    import psutil
    import torch

    found = []
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        found.append(Device(name=f"cuda:{number}", label=properties.name, memory=properties.total_memory))
    total = psutil.virtual_memory().total
    if torch.backends.mps.is_available():
        found.append(Device(name="mps", label="Apple GPU", memory=total))
    found.append(Device(name="cpu", label=platform.processor() or platform.machine(), memory=total))
    return found


def _stand_back(niceness: int) -> None:
    """Let the page's process go first when both want the CPU."""
    import psutil

    with contextlib.suppress(OSError, psutil.Error):
        if sys.platform == "win32":
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            os.nice(niceness)


def main() -> int:
    """Take over the pipes, wait for the start frame, serve until told to close; returns the exit status."""
    channel = take_over()
    die_with_parent()
    try:
        frame = channel.receive()
        if frame is None:
            return 0
        start = Start.model_validate(frame.data)
        link = Link(channel)
        link.listen()
        Worker(link, start).serve()
    except FrameError as error:
        print(f"gesso worker: the host sent what is no message: {error}", file=sys.stderr)
        return CORRUPT
    except GessoError as error:
        print(f"gesso worker: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # threads of plugins shall not hold up the end
