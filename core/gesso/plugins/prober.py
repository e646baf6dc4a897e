"""Runs the probe child: watches its time, starts it again after a death, and makes sure who is to blame."""

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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from gesso.plugins.cache import Verdict, verdict_from_json
from gesso.plugins.discovery import Entry
from gesso.plugins.trace import VARIABLE as TRACE

START_SECONDS = 60.0
"""What a busy machine may need to start Python and import gesso, before the first plugin's time begins."""
MAX_OUTPUT = 8000
"""Characters of a child's output that are kept, from its end (where a crash leaves its traceback)."""


def probe(entries: Sequence[Entry], *, timeout: float = 10.0) -> list[Verdict]:
    """One verdict per entry, in order. `timeout` is in seconds per plugin. OSError when no child can be started.

    A plugin is only condemned by a child in which it came first: an earlier one may have left a thread, a patch or a
    signal behind. Such a suspect is probed again, alone.
    """
    verdicts: dict[int, Verdict] = {}
    waiting, suspects = list(range(len(entries))), list[int]()
    while waiting or suspects:
        batch = waiting or [suspects.pop(0)]
        run = _run_child([entries[i] for i in batch], timeout)
        if not run.started:
            raise OSError(f"The plugin probe does not start: {run.output[-1000:] or 'it says nothing.'}")
        for position, verdict in run.verdicts.items():
            if verdict.ok or position == 0:
                verdicts[batch[position]] = verdict
            else:
                suspects.append(batch[position])
        if run.ended_in is not None:
            if run.ended_in == 0 or (run.timed_out and not run.threads_left):
                verdicts[batch[run.ended_in]] = _death(run, timeout)
            else:
                suspects.append(batch[run.ended_in])
        waiting = batch[run.started :]
    return [verdicts[i] for i in range(len(entries))]


@dataclass
class _Run:
    """What one child has reported."""

    started: int = 0
    """How many plugins it has begun with."""
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    threads_left: bool = False
    """Whether a finished plugin left a thread running."""
    ended_in: int | None = None
    """The plugin during which the child died."""
    timed_out: bool = False
    exit_status: int = 0
    output: str = ""


def _death(run: _Run, timeout: float) -> Verdict:
    """The verdict on a plugin that ended the child, or did not come to an end."""
    if run.timed_out:
        error = f"It had not been imported after {timeout:g} s."
    elif run.exit_status < 0:
        error = f"It crashed Python ({_signal_name(-run.exit_status)})."
    else:
        error = f"It ended Python with exit status {run.exit_status}."
    return Verdict(
        state="failed", phase="probe", error=error, traceback=run.output, hint="Update, disable or remove it."
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _run_child(entries: Sequence[Entry], timeout: float) -> _Run:
    """Run one child to its end, however that comes. Nothing of it is left running or lying about."""
    run = _Run()
    with tempfile.TemporaryDirectory(prefix="gesso-probe-", ignore_cleanup_errors=True) as folder:
        request, results = Path(folder, "request.json"), Path(folder, "results.jsonl")
        request.write_text(json.dumps([asdict(entry) for entry in entries]), encoding="utf-8")
        results.touch()
        process = _start(request, results)
        output = _Tail(process)
        try:
            _watch(process, results, run, timeout)
        finally:
            _kill(process)
            run.output = output.text()
        run.exit_status = process.returncode
    if run.started - 1 in run.verdicts or not run.started:
        run.ended_in = None
    else:
        run.ended_in = run.started - 1
    return run


def _start(request: Path, results: Path) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)  # noqa: PTH100 - "" must not match
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8:replace"}
    environment.pop(TRACE, None)  # what happens here is no call
    environment["TMPDIR"] = str(request.parent)  # a folder of its own, gone afterwards
    new_group: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        new_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "gesso.plugins.probe", str(request), str(results)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=request.parent,
        env=environment,
        **new_group,
    )


def _watch(process: subprocess.Popen[bytes], results: Path, run: _Run, timeout: float) -> None:
    """Read reports until the child ends, or until a plugin has had its time."""
    deadline = time.monotonic() + START_SECONDS
    with results.open("rb") as file:
        while True:
            ended = process.poll() is not None
            for line in _new_lines(file):
                if "start" in line:
                    run.started = line["start"] + 1
                    deadline = time.monotonic() + timeout
                else:
                    run.verdicts[line["index"]] = verdict_from_json(line["verdict"])
                    run.threads_left |= line["threads"] > 0
            if ended:
                return
            if time.monotonic() > deadline:
                run.timed_out = True
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)


def _new_lines(file: IO[bytes]) -> list[dict[str, Any]]:
    """Complete lines since the last call."""
    lines: list[dict[str, Any]] = []
    while True:
        start = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(start)
            return lines
        lines.append(json.loads(line))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the child and what it has started."""
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Tail:
    """Reads a child's output to its end and keeps the last characters; the child is never held up by a full pipe."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._stream = process.stdout
        self._kept = b""
        self._thread = threading.Thread(target=self._read, name="probe output", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self._stream.fileno(), 65536):
            self._kept = (self._kept + chunk)[-MAX_OUTPUT:]

    def text(self) -> str:
        """What was kept. Waits a moment for the rest, but not for a grandchild that holds the pipe open."""
        self._thread.join(1.0)
        if not self._thread.is_alive():
            self._stream.close()
        return self._kept.decode(errors="replace")
