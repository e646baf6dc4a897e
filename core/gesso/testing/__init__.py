"""The test kit for plugin authors: hosts with chosen plugins, imports under watch, toys, demo pictures, a page.

`gesso.testing.toys` and `gesso.testing.studio` import torch, `gesso.testing.fixtures` needs pytest; nothing else does.
"""

from __future__ import annotations

from gesso.testing.hosts import (
    Contents,
    Installed,
    contents,
    find_plugins,
    load_host,
    local_plugins,
    plugin_folder,
    unregister,
)
from gesso.testing.observe import Observation, arrangements, observe
from gesso.testing.page import TestPage, headless_page
from gesso.testing.patches import PatchWatch
from gesso.testing.tasks import run_task
from gesso.testing.texts import infotext_round_trip, is_infotext_key

__all__ = [
    "Contents",
    "Installed",
    "Observation",
    "PatchWatch",
    "TestPage",
    "arrangements",
    "contents",
    "find_plugins",
    "headless_page",
    "infotext_round_trip",
    "is_infotext_key",
    "load_host",
    "local_plugins",
    "observe",
    "plugin_folder",
    "run_task",
    "unregister",
]
