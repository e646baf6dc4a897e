"""The plugin host: discovery, probe, load boundary, dispatch, states. Importing this imports no plugin and no torch."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# pydantic looks for plugins of its own in every installed distribution before its first model: that takes time for each
# of them, and fails when one has a malformed entry_points.txt. gesso uses no such plugin.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# Loaded on first use: `--help` needs the cached commands alone, and neither pluggy nor pydantic for them.
_HOMES = {
    "CachedCommand": "gesso.plugins.cache",
    "Host": "gesso.plugins.host",
    "Selection": "gesso.plugins.selection",
    "cached_commands": "gesso.plugins.cache",
}
__all__ = ["CachedCommand", "Host", "Selection", "cached_commands"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gesso.plugins' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


if TYPE_CHECKING:
    from gesso.plugins.cache import CachedCommand, cached_commands
    from gesso.plugins.host import Host
    from gesso.plugins.selection import Selection
