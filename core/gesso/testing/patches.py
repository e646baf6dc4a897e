"""Notices when functions, methods or classes of libraries that everybody uses are replaced. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from gesso.plugins import patches
from gesso.plugins.patches import GRADIO, LIGHT, TORCH

WATCHED = (*LIGHT, *TORCH)
WATCHED_WITH_PAGE = GRADIO


class PatchWatch(patches.PatchWatch):
    """Remembers what the watched modules hold; `changed` names what is another object now."""

    def __init__(self, modules: Sequence[str] = WATCHED) -> None:
        super().__init__(modules)
