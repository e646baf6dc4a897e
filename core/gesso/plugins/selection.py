"""Which of the installed plugins are loaded in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gesso.errors import InvalidInputError, UnknownNameError
from gesso.plugins.discovery import BUILT_IN, Entry

BUILT_INS_WORD = "builtin"
"""Stands for all plugins that ship with gesso in `--only` and `--without`."""


@dataclass(frozen=True)
class Selection:
    """`--safe-mode` loads the built-ins alone, `--only` exactly the named ones, `--without` all but the named ones.

    A name is a plugin's (`lora`), a distribution's (`gesso-lora`), both (`gesso-lora:lora`), or `builtin` for all that
    ship with gesso. `only=()` loads nothing at all. `plugins_dir` adds a folder of local plugins.
    """

    safe_mode: bool = False
    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    plugins_dir: Path | None = None

    def left_out(self, entries: Sequence[Entry]) -> dict[str, str]:
        """Ids that are not loaded, with the option that says so. UnknownNameError for a name no plugin has."""
        for name in (*(self.only or ()), *self.without):
            if name != BUILT_INS_WORD:
                find(name, entries)
        reasons: dict[str, str] = {}
        for entry in entries:
            if self.only is not None and not any(_matches(entry, name) for name in self.only):
                reasons[entry.id] = "Left out by --only."
            elif any(_matches(entry, name) for name in self.without):
                reasons[entry.id] = "Left out by --without."
            elif self.safe_mode and not entry.built_in:
                reasons[entry.id] = "Left out by --safe-mode."
        return reasons


def find(name: str, entries: Sequence[Entry]) -> list[Entry]:
    """The plugins `name` stands for; UnknownNameError lists near matches."""
    found = [entry for entry in entries if _matches(entry, name)]
    if not found:
        raise UnknownNameError("plugin", name, [e.name for e in entries] + [e.dist for e in entries])
    return found


def find_one(name: str, entries: Sequence[Entry]) -> Entry:
    """The one plugin `name` stands for; InvalidInputError lists them when it is several."""
    found = find(name, entries)
    if len(found) > 1:
        ids = ", ".join(entry.id for entry in found)
        raise InvalidInputError(f"{name!r} stands for {len(found)} plugins: {ids}.", hint="Give one of these names.")
    return found[0]


def _matches(entry: Entry, name: str) -> bool:
    if name == BUILT_INS_WORD:
        return entry.built_in
    if name == BUILT_IN:
        return entry.name == name  # the distribution's own name would stand for every built-in
    return name in (entry.name, entry.dist, entry.id)
