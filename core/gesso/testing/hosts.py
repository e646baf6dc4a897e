"""Hosts with chosen plugins, and what is in them. Nothing here touches a person's data folder."""

from __future__ import annotations

import importlib.util
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gesso.contributions import ANCHORS
from gesso.plugins.discovery import LOCAL, Entry, discover
from gesso.plugins.host import Host, Selection
from gesso.plugins.registries import REGISTRIES
from gesso.plugins.selection import find_one
from gesso.plugins.state import LivePlugin
from gesso.types import CoreParams

Process = Literal["host", "worker", "both"]


@dataclass(frozen=True)
class Installed:
    """A plugin that is installed, or lies in a plugins folder; nothing of it has been imported."""

    id: str
    """`dist:name`."""
    name: str
    dist: str
    version: str
    package: str
    """The top-level package of its code."""
    built_in: bool
    local: bool
    """From a plugins folder: no distribution, so no metadata."""
    error: str = ""
    """Why it cannot even be tried (broken metadata)."""


def find_plugins(names: Sequence[str] = (), *, plugins_dir: Path | None = None) -> list[Installed]:
    """The plugins of these names (`name`, `dist`, `dist:name`), all when none is given. UnknownNameError for others."""
    entries = list(discover(plugins_dir).entries)
    chosen = [find_one(name, entries) for name in names] if names else entries
    return [_installed(entry) for entry in chosen]


def plugin_folder(name: str, *, plugins_dir: Path | None = None) -> Path | None:
    """The folder of a plugin's module; None for a single file, which has no folder of its own."""
    entry = entry_of(name, plugins_dir)
    module = entry.value.partition(":")[0].strip()
    if entry.folder:  # of a folder of plugins, which is not on the path yet
        return Path(entry.folder, *module.split(".")[:-1]) if "." in module else None
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin:
        return None
    path = Path(spec.origin)
    return path.parent if "." in spec.name or path.name == "__init__.py" else None


def entry_of(name: str, plugins_dir: Path | None = None) -> Entry:
    """The entry point behind a plugin's name."""
    return find_one(name, list(discover(plugins_dir).entries))


def _installed(entry: Entry) -> Installed:
    return Installed(
        entry.id, entry.name, entry.dist, entry.version, entry.package, entry.built_in, entry.dist == LOCAL, entry.error
    )


@contextmanager
def load_host(
    only: Sequence[str] | None = None,
    *,
    without: Sequence[str] = (),
    plugins_dir: Path | None = None,
    process: Process = "both",
    home: Path | None = None,
) -> Iterator[Host]:
    """A host with all registries filled, in a data folder of its own; `only` and `without` as on the command line.

    Plugins are imported in this process, without the probe: what they do at import happens here.
    """
    selection = Selection(only=None if only is None else tuple(only), without=tuple(without), plugins_dir=plugins_dir)
    with tempfile.TemporaryDirectory(prefix="gesso-test-", ignore_cleanup_errors=True) as folder:
        host = Host.load(process, home=home or folder, selection=selection, probe=False, heavy_allowed=True)
        with host:
            host.fill()
            yield host


@contextmanager
def local_plugins(plugins: Mapping[str, str], *, built_ins: bool = True) -> Iterator[Host]:
    """A host with single-file plugins made from source texts: `{"halfway": "from gesso import …"}`.

    A module stays imported after the test, so names must differ from test to test.
    """
    with tempfile.TemporaryDirectory(prefix="gesso-plugins-", ignore_cleanup_errors=True) as folder:
        for name, text in plugins.items():
            Path(folder, f"{name}.py").write_text(text, encoding="utf-8")
        only = [*(["builtin"] if built_ins else []), *plugins]
        with load_host(only, plugins_dir=Path(folder)) as host:
            yield host


@dataclass(frozen=True)
class Contents:
    """What a host holds, as plain data that can be compared and sent to another process."""

    states: dict[str, str]
    """Plugin id → state, with the error where there is one."""
    records: dict[str, dict[str, tuple[str, str]]]
    """Registry → record name → (plugin id, the record as text)."""
    keys: dict[str, str]
    """Infotext keys and API names → who owns them."""
    core: str
    """gesso's own parameters and anchors, which no plugin may change."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Contents:
        """Contents that were sent as JSON (`dataclasses.asdict`)."""
        records = {r: {n: (owner, text) for n, (owner, text) in found.items()} for r, found in data["records"].items()}
        return cls(data["states"], records, data["keys"], data["core"])

    def of(self, plugin: str) -> dict[str, dict[str, str]]:
        """Registry → name → text of one plugin's records."""
        mine = {
            registry: {name: text for name, (owner, text) in found.items() if owner == plugin}
            for registry, found in self.records.items()
        }
        return {registry: found for registry, found in mine.items() if found}

    def differences(self, other: Contents, *, states: bool = True) -> list[str]:
        """What is not the same in the other, in words."""
        found = [] if self.core == other.core else ["gesso's own parameters or anchors"]
        tables: dict[str, tuple[Mapping[str, object], Mapping[str, object]]] = {
            registry: (self.records.get(registry, {}), other.records.get(registry, {}))
            for registry in {**self.records, **other.records}
        }
        tables["keys"] = self.keys, other.keys
        if states:
            tables["states"] = self.states, other.states
        for table, (mine, theirs) in tables.items():
            found += [f"{table}: {name}" for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        return found


def contents(host: Host) -> Contents:
    """A snapshot of a host whose registries are filled."""
    states = {f"{s.dist}:{s.name}": f"{s.state}: {s.error}" if s.error else s.state for s in host.states}
    records = {
        name: {item.name: (registry.owner(item.name), repr(item)) for item in registry}
        for name, registry in ((name, host.registry(name)) for name in REGISTRIES)
    }
    keys = {f"infotext {key}": owner for key, owner in host.keys.infotext.items()}
    keys |= {f"api {key}": owner for key, owner in host.keys.api.items()}
    defaults = {name: repr(field) for name, field in CoreParams.model_fields.items()}
    return Contents(states, records, keys, repr((ANCHORS, defaults)))


def registered(host: Host, plugin: str) -> dict[str, list[Any]]:
    """Registry → the records a plugin (`dist:name`) has put there."""
    found = {
        name: [item for item in registry if registry.owner(item.name) == plugin]
        for name, registry in ((name, host.registry(name)) for name in REGISTRIES)
    }
    return {name: items for name, items in found.items() if items}


def unregister(host: Host, plugin: str) -> None:
    """Take a plugin out of a running host: its hooks, its records, its keys."""
    live = host._plugins[plugin]
    host._withdraw(live)
    live.state = "disabled"


def hook_table(host: Host) -> dict[str, list[str]]:
    """Hook → ids of the plugins that implement it."""
    tables = (host._by_hook, host._wrappers)
    return {hook: [i.plugin.entry.id for i in found] for table in tables for hook, found in table.items() if found}


def load_in_order(order: Sequence[str], plugins_dir: Path | None, home: Path) -> Host:
    """A host whose plugins are loaded in this order of ids, the rest not at all. What is in it is filled."""
    entries = {entry.id: entry for entry in discover(plugins_dir).loadable}
    chosen = [entries[id_] for id_ in order]
    host = Host("both", home=home)
    host._plugins.update({entry.id: LivePlugin(entry) for entry in chosen})
    host._load_all(chosen, {})
    host.fill()
    return host


def shuffled(ids: Sequence[str], last: Sequence[str], seed: int) -> list[str]:
    """Built-ins first, as the loader has it, in random order within; `last` (those that do not load) at the end."""
    order = random.Random(seed).sample(list(ids), len(ids))
    return sorted(order, key=lambda id_: (id_ in last, not id_.startswith("gesso:")))


def stage_problems(host: Host) -> dict[str, str]:
    """Stage → why it is left out of every job (an unknown anchor, a cycle)."""
    from gesso.engine.stages import resolve_order

    return resolve_order(host.registry("stages"))[1]
