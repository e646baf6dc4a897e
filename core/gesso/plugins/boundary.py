"""The boundary around one plugin's code: import it, check what it says of itself, and turn any error into a row.

The probe child and the host use the same functions, so both come to the same verdict.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal

from gesso.errors import GessoError
from gesso.plugins.discovery import Entry

SUPPORTED_APIS = ("1",)
"""The plugin APIs this gesso speaks; N and N−1 once there is a second."""
State = Literal["enabled", "disabled", "quarantined", "failed", "incompatible", "missing-deps"]
MAX_TEXT = 20_000


class IncompatibleError(GessoError):
    """The plugin asks for a plugin API this gesso does not have."""


class HeavyImportError(ImportError):
    """A plugin imported torch or its like where it must not."""


@dataclass(frozen=True)
class Failure:
    """Why a plugin is not used. `phase` is where it failed: discovery, probe, import, register, hook."""

    state: State
    phase: str
    error: str
    traceback: str = ""
    hint: str = ""


def open_plugin(entry: Entry) -> Any:
    """Import the object an entry point names and check its `api`. Raises whatever the plugin's code raises."""
    module_name, _, attribute = entry.value.partition("[")[0].strip().partition(":")
    if entry.folder:
        _prepare_local(entry, module_name)
    plugin: Any = importlib.import_module(module_name)
    for name in attribute.split(".") if attribute else ():
        plugin = getattr(plugin, name)
    api = api_of(plugin)
    if api not in SUPPORTED_APIS:
        wanted = f"is written for plugin API {api!r}" if api else "declares no `api`"
        raise IncompatibleError(
            f"It {wanted}; this gesso supports {', '.join(map(repr, SUPPORTED_APIS))}.",
            hint="Update the plugin or gesso." if api else 'Add api = "1" to its plugin module.',
        )
    if inspect.isclass(plugin):
        raise TypeError(f"{entry.value} is a class; an entry point names a module or an instance.")
    return plugin


def api_of(plugin: Any) -> str:
    """What the plugin declares as `api`, "" for nothing."""
    value = getattr(plugin, "api", "")
    return value if isinstance(value, str) else repr(value)[:50]


def _prepare_local(entry: Entry, module_name: str) -> None:
    """Put a local plugin's folder last on sys.path, and refuse a name that already means something else."""
    if entry.folder not in sys.path:
        sys.path.append(entry.folder)
        importlib.invalidate_caches()
    spec = importlib.util.find_spec(module_name.partition(".")[0])
    if spec is not None and spec.origin and not spec.origin.startswith(entry.folder):
        raise ImportError(f"The name {entry.package!r} already belongs to {spec.origin}; rename the local plugin.")


def explain(entry: Entry, phase: str, error: BaseException) -> Failure:
    """The row to show for an error raised by a plugin."""
    text = _message(error)
    trace = _trace(error)
    if isinstance(error, IncompatibleError):
        return Failure("incompatible", phase, text)
    if isinstance(error, HeavyImportError):
        return Failure("failed", phase, text, trace, "Import it in the module that needs it; see gesso.lazy.")
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing and missing not in (entry.package, "gesso"):
        what = missing if entry.folder else f"--force-reinstall {entry.dist}"
        hint = f"Install what it needs: pip install {what}"
        return Failure(
            "missing-deps", phase, f"It needs the Python package {missing!r}, which is missing.", trace, hint
        )
    if isinstance(error, GessoError):
        return Failure("failed", phase, text, trace)
    return Failure("failed", phase, f"{type(error).__name__}: {text}" if text else type(error).__name__, trace)


def _message(error: BaseException) -> str:
    try:
        return str(error)[:1000]
    except BaseException:  # an exception whose own __str__ raises
        return ""


def _trace(error: BaseException) -> str:
    try:
        start = error.__traceback__
        while start is not None and _is_ours(start.tb_frame.f_globals.get("__name__", "")):
            start = start.tb_next
        # None when the plugin's own code has not run at all: a syntax error tells its file itself.
        lines = traceback.format_exception(type(error), error, start, limit=-40)
        return "".join(lines)[-MAX_TEXT:]
    except BaseException:
        return ""


def _is_ours(module: object) -> bool:
    """Frames between the host and the plugin's own code, which tell its author nothing."""
    return str(module).startswith(("gesso.plugins.", "importlib", "__main__"))


class Interrupts:
    """Tells a person's Ctrl-C from a KeyboardInterrupt that a plugin raises."""

    real = False


@contextmanager
def watch_interrupts() -> Iterator[Interrupts]:
    """While this is open, `real` becomes True when SIGINT arrives; a handler a plugin installs is undone at the end."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # Ctrl-C never arrives in another thread
        return
    previous = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        interrupts.real = True
        if callable(previous):
            previous(number, frame)
        elif previous is signal.SIG_DFL:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, previous if previous is not None else signal.SIG_DFL)
