"""What is known about a worker's end: how, where, and whose code it was."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from gesso.errors import GessoError

MEANINGS = {
    "SIGSEGV": "segmentation fault",
    "SIGABRT": "abort",
    "SIGBUS": "bus error",
    "SIGILL": "illegal instruction",
    "SIGFPE": "arithmetic error",
    "SIGKILL": "killed from outside, most often by the system for want of memory",
    "SIGTERM": "ended from outside",
}
CHANCE = {"SIGKILL", "SIGTERM", "SIGHUP", "SIGINT"}
"""Deaths that say nothing about the job: trying again makes sense."""
CLOSED = "gesso ends"
"""The reason when a worker is ended with its host; no verdict on the job."""
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<function>\S+)')
_DUMP = re.compile(r"^(Fatal Python error.*|(Current t|T)hread 0x.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """A line of Python that was running."""

    file: str
    line: int
    function: str
    plugin: str = ""

    def __str__(self) -> str:
        return f"{Path(self.file).name}, line {self.line}, in {self.function}"


@dataclass(frozen=True)
class Death:
    """How a worker ended."""

    code: int
    """Exit status, negative for a signal."""
    reason: str = ""
    """Why the host ended it, "" when it did not."""
    place: Place | None = None
    lines: tuple[str, ...] = ()
    log: Path | None = None

    @property
    def signal(self) -> str:
        """SIGSEGV and the like, "" for an ordinary exit."""
        if self.code >= 0:
            return ""
        try:
            return signal.Signals(-self.code).name
        except ValueError:
            return f"signal {-self.code}"

    @property
    def by_chance(self) -> bool:
        """Whether the same job may well succeed in a new worker."""
        return self.reason == CLOSED or (not self.reason and self.signal in CHANCE)

    def how(self) -> str:
        """ "crashed with SIGSEGV (segmentation fault)"."""
        if self.reason:
            return f"was ended: {self.reason}"
        if self.signal:
            meaning = MEANINGS.get(self.signal, "")
            return f"crashed with {self.signal}" + (f" ({meaning})" if meaning else "")
        return f"ended with exit status {self.code}"


class WorkerDiedError(GessoError):
    """The worker process ended while a job ran."""

    def __init__(self, message: str, death: Death, *, hint: str = "", stage: str = "", plugin: str = "") -> None:
        super().__init__(message, hint=hint)
        self.death, self.stage, self.plugin = death, stage, plugin

    @property
    def retry(self) -> bool:
        """Whether the job may well succeed in a new worker: its death was no crash and no verdict of the watchdog."""
        return self.death.by_chance


class WorkerStartError(WorkerDiedError):
    """No worker can be started. No job's fault."""


def last_words(text: str) -> tuple[str, ...]:
    """The end of a log in about twenty lines; where faulthandler wrote every thread's stack, the one that matters."""
    dump = _DUMP.search(text)
    lines = _lines(text[: dump.start()] if dump else text)
    if dump is None:
        return lines[-20:]
    title = _lines(dump.group()) if dump.group().startswith("Fatal") else ()
    return lines[-5:] + title + ("Stack, innermost call first:", *_lines(_stack(text))[:15])


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line[:300] for line in text.splitlines() if line.strip())


def _stack(text: str) -> str:
    """The stack of the thread that was current in the last dump, without its heading."""
    stack = text.rpartition("Current thread ")[2].partition("\n")[2]
    return stack.partition("\n\n")[0].partition("\nThread ")[0]


def find_place(text: str, folders: dict[str, str]) -> Place | None:
    """Where the main thread was, from the last traceback faulthandler wrote; a plugin's own line where it has one.

    `folders` are the plugins' folders of code.
    """
    places = [Place(m["file"], int(m["line"]), m["function"]) for m in _FRAME.finditer(_stack(text))]
    for place in places:
        for plugin, folder in folders.items():
            if Path(place.file).is_relative_to(folder):
                return Place(place.file, place.line, place.function, plugin)
    return places[0] if places else None
