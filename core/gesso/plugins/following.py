"""Plugins taken out of use, and into it, while the program runs: what a person has enabled or disabled meanwhile.

Only plugins whose every contribution is looked up when it is used. A tab, a route, a command, controls on the page, a
model family are built into what runs, so they wait for the next start.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from gesso.plugins.boundary import Failure, watch_interrupts
from gesso.plugins.cache import Verdict, read_disabled
from gesso.plugins.discovery import Entry, discover
from gesso.plugins.registries import REGISTRY_HOOKS
from gesso.plugins.state import LivePlugin
from gesso.plugins.surroundings import shielded
from gesso.plugins.verdicts import judge

if TYPE_CHECKING:
    from gesso.plugins.host import Host

LOOKED_UP = ("samplers", "schedulers", "guiders", "stages", "checks", "filename_tokens")
"""Registries that are asked for a record when it is used."""
_FIXED = {hook for name, hook in REGISTRY_HOOKS.items() if name not in LOOKED_UP}


def needs_start(hooks: Iterable[str]) -> bool:
    """Whether enabling or disabling a plugin with these hooks takes a new start."""
    return not _FIXED.isdisjoint(hooks)


class Following:
    """Keeps one host's plugins as the settings file says. `follow` costs one look at a file's time."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._seen = self._stamp()

    def _stamp(self) -> int:
        try:
            return self._host.paths.plugin_settings.stat().st_mtime_ns
        except OSError:
            return 0

    def follow(self) -> list[str]:
        """Ids of the plugins that were switched now. One that turns out to be bad gets its state; nothing raises."""
        stamp = self._stamp()
        if stamp == self._seen:
            return []
        self._seen = stamp
        disabled = read_disabled(self._host.paths.plugin_settings)
        plugins = self._host._plugins
        out = [p for id_, p in plugins.items() if id_ in disabled and p.state in ("enabled", "quarantined")]
        back = [p for id_, p in plugins.items() if id_ not in disabled and self._host.is_disabled(id_)]
        switched = [plugin for plugin in out if not needs_start(plugin.hooks)]
        shared = self._host._shared
        with shared.unsealed() if shared is not None else nullcontext():
            for plugin in switched:
                self._take_out(plugin)
            switched += self._taken_back(back)
        return [plugin.entry.id for plugin in switched]

    def _taken_back(self, plugins: list[LivePlugin]) -> list[LivePlugin]:
        if not plugins:
            return []
        found = discover(self._host.plugins_dir)
        now = {entry.id: entry.key for entry in found.entries}
        # Updated meanwhile: what was imported of it is not what is installed.
        same = [plugin for plugin in plugins if now.get(plugin.entry.id) == plugin.entry.key]
        verdicts = judge([plugin.entry for plugin in same], found, self._host.paths)
        ready = [p for p in same if (v := verdicts.get(p.entry.id)) is not None and not (v.ok and needs_start(v.hooks))]
        for plugin in ready:
            self._take_in(plugin.entry, verdicts[plugin.entry.id])
        return ready

    def _take_out(self, plugin: LivePlugin) -> None:
        """Call a plugin no longer and take its records back."""
        host, id_ = self._host, plugin.entry.id
        with host._lock:
            host._unregister(plugin)
            for registry in host._registries.values():
                registry.remove_owner(id_)
            host.keys.release(id_)
            plugin.implementations.clear()
            plugin.fail(Failure("disabled", "", "", hint=f"gesso plugins enable {id_}"))
            host._disabled.add(id_)

    def _take_in(self, entry: Entry, verdict: Verdict) -> None:
        """Load a plugin that was disabled, at its place among the others, and take its records over."""
        host = self._host
        with host._lock:
            host._disabled.discard(entry.id)
            plugin = host._plugins[entry.id] = LivePlugin(entry)
            host._load_all([entry], {entry.id: verdict})
            places = {id_: place for place, id_ in enumerate(host._plugins)}
            for table in (host._by_hook, host._wrappers):
                for implementations in table.values():
                    implementations.sort(key=lambda one: places[one.plugin.entry.id])
            mine = {one.hook: one for one in plugin.implementations}
            with watch_interrupts() as interrupts, shielded():
                for name, registry in list(host._registries.items()):
                    hook = REGISTRY_HOOKS[name]
                    if hook in mine and host._runs_here(hook) and plugin.state == "enabled":
                        host._contribute(mine[hook], name, registry, interrupts)
