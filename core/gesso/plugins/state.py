"""What is known of each plugin while the program runs, and how it is shown: JSON and a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gesso.plugins.boundary import Failure, State
from gesso.plugins.discovery import Entry
from gesso.types import HookState, PluginState

if TYPE_CHECKING:
    from rich.table import Table


class Implementation:
    """One plugin's function for one hook, with its counters."""

    __slots__ = ("arguments", "calls", "errors", "function", "hook", "phase", "plugin", "quarantined", "total_ns")

    def __init__(
        self, plugin: LivePlugin, hook: str, function: Callable[..., Any], arguments: tuple[str, ...], phase: str
    ) -> None:
        self.plugin, self.hook, self.function, self.arguments, self.phase = plugin, hook, function, arguments, phase
        self.calls = self.errors = self.total_ns = 0
        self.quarantined = False

    def snapshot(self, process: str) -> HookState:
        """Its counters."""
        return HookState(
            hook=self.hook, process=process, calls=self.calls, errors=self.errors,
            total_ms=round(self.total_ns / 1e6, 3), quarantined=self.quarantined,
        )  # fmt: skip


class LivePlugin:
    """A plugin's row: changed as it is loaded, called and quarantined."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.state: State = "enabled"
        self.phase = self.hook = self.error = self.traceback = self.api = ""
        self.hint = entry.hint
        self.import_ms = 0.0
        self.hooks: tuple[str, ...] = ()
        self.capabilities: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self.implementations: list[Implementation] = []
        self.dropped_events = 0
        self.other_errors = 0
        """Errors outside of hooks: in a tab, a stage, a crash of the worker."""

    def fail(self, failure: Failure) -> None:
        """Take over why the plugin is not used."""
        self.state = failure.state
        self.show(failure)

    def show(self, failure: Failure, hook: str = "") -> None:
        """Take over what went wrong last, and where."""
        self.phase, self.hook, self.error = failure.phase, hook, failure.error
        self.traceback, self.hint = failure.traceback, failure.hint or self.hint

    def reset(self) -> None:
        """Forget all errors; a quarantined plugin is called again."""
        for implementation in self.implementations:
            implementation.quarantined, implementation.errors = False, 0
        self.other_errors = self.dropped_events = 0
        self.phase = self.hook = self.error = self.traceback = ""
        self.hint = self.entry.hint
        if self.state == "quarantined":
            self.state = "enabled"

    def snapshot(self, process: str = "") -> PluginState:
        """The row as the page, the API and `gesso plugins list` show it."""
        hint = self.hint
        if self.dropped_events:
            hint = f"{self.dropped_events} events dropped: it handles them too slowly. {hint}".strip()
        return PluginState(
            name=self.entry.name,
            dist=self.entry.dist,
            version=self.entry.version,
            api=self.api,
            state=self.state,
            phase=self.phase,
            hook=self.hook,
            error=self.error,
            traceback=self.traceback,
            import_ms=round(self.import_ms, 3),
            hooks=self.hooks,
            quarantined_hooks=tuple(i.hook for i in self.implementations if i.quarantined),
            calls=sum(i.calls for i in self.implementations),
            errors=self.other_errors + sum(i.errors for i in self.implementations),
            total_ms=round(sum(i.total_ns for i in self.implementations) / 1e6, 3),
            built_in=self.entry.built_in,
            hint=hint,
            capabilities=self.capabilities,
            warnings=self.warnings,
            hook_states=tuple(i.snapshot(process) for i in self.implementations),
        )


_WORST = ("enabled", "disabled", "quarantined", "incompatible", "missing-deps", "failed")


def merged(host: PluginState, worker: PluginState | None) -> PluginState:
    """One row of what the host and the worker know of a plugin: the worse state, all counters."""
    if worker is None:
        return host
    bad = max(host, worker, key=lambda state: (bool(state.error), _WORST.index(state.state)))
    return host.model_copy(
        update={
            "state": max(host.state, worker.state, key=_WORST.index),
            "phase": bad.phase, "hook": bad.hook, "error": bad.error, "traceback": bad.traceback,
            "hint": bad.hint or host.hint,
            "quarantined_hooks": tuple(dict.fromkeys((*host.quarantined_hooks, *worker.quarantined_hooks))),
            "calls": host.calls + worker.calls, "errors": host.errors + worker.errors,
            "total_ms": round(host.total_ms + worker.total_ms, 3),
            "hook_states": (*host.hook_states, *worker.hook_states),
        }
    )  # fmt: skip


def to_json(states: Sequence[PluginState]) -> list[dict[str, Any]]:
    """What `gesso plugins list --json` prints: one object per plugin."""
    return [state.model_dump(mode="json") for state in states]


_COLOURS = {"enabled": "green", "disabled": "dim", "quarantined": "yellow", "incompatible": "yellow"}


def table(states: Sequence[PluginState]) -> Table:
    """The states for people: name, distribution, state, import time, calls, and what is wrong."""
    from rich.table import Table
    from rich.text import Text

    result = Table(box=None, pad_edge=False)
    for heading in ("Plugin", "Distribution", "State"):
        result.add_column(heading, no_wrap=True)
    for heading in ("Import", "Calls", "Errors", "Time"):
        result.add_column(heading, justify="right", no_wrap=True)
    result.add_column("Remarks", overflow="fold")
    for state in states:
        where = f"[{state.phase} {state.hook}]".replace(" ]", "]") if state.error else ""
        remark = " ".join(part for part in (where, state.error, *state.warnings, state.hint) if part)
        result.add_row(
            Text(state.name),
            Text(f"{state.dist} {state.version}".strip()),
            Text(state.state, style=_COLOURS.get(state.state, "red")),
            f"{state.import_ms:.1f} ms",
            str(state.calls),
            str(state.errors),
            f"{state.total_ms:.1f} ms",
            Text(remark),
        )
    return result
