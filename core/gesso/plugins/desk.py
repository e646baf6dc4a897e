"""Where people look after plugins: what host and worker know of each, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from gesso.errors import UnknownNameError
from gesso.plugins.cache import read_disabled
from gesso.plugins.discovery import Entry, discover
from gesso.plugins.report import report
from gesso.plugins.state import merged
from gesso.plugins.verdicts import forget, set_enabled
from gesso.types import PluginState

if TYPE_CHECKING:
    from gesso.plugins.host import Host

WorkerStates = Callable[[], Mapping[str, PluginState]]


class PluginDesk:
    """The plugins of a service. `worker` tells the states in the worker process, `reset_there` resets a plugin there.

    A name is a plugin's, a distribution's where it has one plugin, or `dist:name`; UnknownNameError for another.
    """

    def __init__(
        self,
        host: Host,
        worker: WorkerStates = dict,
        reset_there: Callable[[str], None] = lambda plugin: None,
    ) -> None:
        self._host, self._worker, self._reset_there = host, worker, reset_there

    def states(self) -> list[PluginState]:
        """Every plugin in load order: counters and errors of both processes, and what the next start makes of it."""
        self._host.follow()
        worker, disabled = self._worker(), read_disabled(self._host.paths.plugin_settings)
        installed = {entry.id: entry for entry in discover(self._host.plugins_dir).entries}
        rows = []
        for mine in self._host.states:
            state = merged(mine, worker.get(mine.id))
            rows.append(state.model_copy(update={"next_start": self._next_start(state, disabled, installed)}))
        known = {state.id for state in rows}
        return rows + [self._newcomer(e, disabled) for id_, e in installed.items() if id_ not in known]

    def _newcomer(self, entry: Entry, disabled: set[str]) -> PluginState:
        """One that was installed since this host began."""
        off = entry.id in disabled
        state = PluginState(name=entry.name, dist=entry.dist, version=entry.version, state="disabled", hint=entry.hint)
        return state.model_copy(update={"next_start": "" if off else "enabled"})

    def state(self, name: str) -> PluginState:
        """One plugin's."""
        id_ = self._id(name)
        return next(state for state in self.states() if state.id == id_)

    def _id(self, name: str) -> str:
        """The id, by the host's names or of one that came since."""
        try:
            return self._host.state(name).id
        except UnknownNameError:
            if name not in {state.id for state in self.states()}:
                raise
            return name

    def set_enabled(self, name: str, enabled: bool) -> PluginState:
        """Load it or leave it out: at once where its kind allows it, else from the next start on; its state."""
        id_ = self._id(name)
        set_enabled(self._host.paths, id_, enabled)
        return self.state(id_)

    def reset(self, name: str) -> PluginState:
        """Another chance: errors are forgotten, a quarantine ends at once, the next start probes it again."""
        id_ = self._host.state(name).id
        self._host.reset(id_)
        self._reset_there(id_)
        forget(self._host.paths, id_)
        return self.state(id_)

    def report(self, name: str = "") -> str:
        """Markdown to paste into an issue, about one plugin or all that matter."""
        return report(self.states(), [self._host.state(name).id] if name else ())

    def _next_start(self, state: PluginState, disabled: set[str], installed: Collection[str]) -> str:
        if state.id not in installed:
            return "uninstalled"
        off = state.id in disabled
        if off and state.state != "disabled":
            return "disabled"
        return "enabled" if not off and self._host.is_disabled(state.id) else ""
