"""What would change: shown before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gesso.plugins.installs.journal import Lock


@dataclass(frozen=True)
class Row:
    """One distribution that changes."""

    name: str
    kind: str
    """new, upgrade, downgrade, reinstall, remove"""
    old: str
    new: str
    size: int
    """Of its files, in bytes."""
    needed_by: tuple[str, ...] = ()
    sha256: str = ""


@dataclass(frozen=True)
class Preview:
    """A plugin that comes in, as its files describe it; nothing of it has run yet."""

    id: str
    version: str
    capabilities: tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True)
class Proposal:
    """A change somebody may agree to. `apply` makes it, if nothing else has changed since."""

    what: str
    before: Lock
    after: Lock
    rows: tuple[Row, ...]
    plugins: tuple[Preview, ...] = ()
    notes: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    data: tuple[Path, ...] = ()
    """Folders that are removed with it, for good."""
    on_trial: bool = False
    """Whether the plugins are probed and smoked, and taken out again when they are bad."""

    def for_people(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "what": self.what,
            "changes": [asdict(row) for row in self.rows],
            "plugins": [asdict(plugin) for plugin in self.plugins],
            "notes": list(self.notes),
            "data": [str(path) for path in self.data],
        }
