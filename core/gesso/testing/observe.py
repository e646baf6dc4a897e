"""What a plugin does when it is imported, seen from a child process of its own.

The child is `python -P -m gesso.testing.observed REQUEST RESULT`; whatever it does, its parent lives on and tells.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from gesso.testing.hosts import Contents, entry_of

PARENT = "GESSO_TESTING_PARENT"
SECONDS = 120.0
"""What a child may take, on a machine that is busy with other things."""


@dataclass(frozen=True)
class Observation:
    """One import of one plugin. `state` "enabled" is the good verdict, as in PluginState."""

    state: str = "failed"
    phase: str = ""
    error: str = ""
    traceback: str = ""
    cpu_ms: float = 0.0
    """Processor time of importing it and calling its register hooks."""
    wall_ms: float = 0.0
    mb: float = 0.0
    """Growth of the process's resident memory."""
    modules: tuple[str, ...] = ()
    """Top-level packages that were imported."""
    network: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Files written, moved or removed, bytecode caches apart."""
    leftovers: tuple[str, ...] = ()
    """What was left changed in the process: environment, threads, signals, logging."""
    alone: Contents | None = None
    """A host with this plugin and nothing else."""
    heavy_references: dict[str, str] = field(default_factory=dict)
    """References the host resolves (detection, token counts) that cannot be loaded without torch → why."""


def observe(plugin: str, *, plugins_dir: Path | None = None, timeout: float = SECONDS) -> Observation:
    """Import a plugin in a fresh child process and tell what it did. Never raises for what the plugin does."""
    entry = entry_of(plugin, plugins_dir)
    if entry.error:
        return Observation(phase="discovery", error=entry.error)
    done = run_child("gesso.testing.observed", {"entry": asdict(entry)}, timeout)
    if "died" in done:
        return Observation(phase="probe", error=done["died"], traceback=done["output"])
    known = {f.name for f in fields(Observation)}
    alone = Contents.from_json(done.pop("alone")) if done.get("alone") else None
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in done.items() if k in known}
    return Observation(**{**plain, "alone": alone})


def arrangements(
    seeds: Sequence[int] = (1, 2), *, plugins_dir: Path | None = None, timeout: float = SECONDS
) -> list[Contents]:
    """All installed plugins together: in the usual order, then in a random one for each seed, each in a fresh process.

    Raises RuntimeError when the process does not come to an end; then a plugin ends or blocks it.
    """
    found: list[Contents] = []
    last: list[str] = []
    for seed in (None, *seeds):
        request = {"seed": seed, "plugins_dir": str(plugins_dir or ""), "last": last}
        done = run_child("gesso.testing.arranged", request, timeout)
        if "died" in done:
            raise RuntimeError(f"All plugins together: {done['died']} {done['output'][-500:]}")
        found.append(Contents.from_json(done))
        last = last or [id_ for id_, state in found[0].states.items() if state != "enabled"]
    return found


def run_child(module: str, request: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Run `python -m module REQUEST RESULT` and return its result, or {"died", "output"} when it left none."""
    with tempfile.TemporaryDirectory(prefix="gesso-child-", ignore_cleanup_errors=True) as folder:
        ask, answer = Path(folder, "request.json"), Path(folder, "result.json")
        ask.write_text(json.dumps(request), encoding="utf-8")
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)  # noqa: PTH100 - "" must not match
        home = Path(folder, "home")
        home.mkdir()
        own = {"GESSO_HOME": str(home), "TMPDIR": folder, "PYTHONHASHSEED": "0", PARENT: str(os.getpid())}
        environment = {**os.environ, "PYTHONPATH": path, **own}
        with Path(folder, "output").open("w+b") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(ask), str(answer)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=folder,
                start_new_session=True,
            )  # fmt: skip
            why = _wait(process, timeout)
            output.seek(0)
            said = output.read()[-8000:].decode(errors="replace")
        try:
            result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {"died": why or "It ended without a result.", "output": said}
        return result


def end_with_parent() -> None:
    """In a child: end when the process that waits for it is gone, so that nothing runs on for nobody."""
    parent = os.environ.get(PARENT)
    if parent is None or sys.platform == "win32":
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


def _wait(process: subprocess.Popen[bytes], timeout: float) -> str:
    """Wait for the child's end; how it ended where that was not in good order. Nothing it started is left running."""
    try:
        process.wait(timeout)
        why = ""
    except subprocess.TimeoutExpired:
        why = f"It had not come to an end after {timeout:g} s."
    finally:
        if sys.platform == "win32":
            process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if why or process.returncode == 0:
        return why
    if process.returncode < 0:
        return f"It crashed Python (signal {-process.returncode})."
    return f"It ended Python with exit status {process.returncode}."
