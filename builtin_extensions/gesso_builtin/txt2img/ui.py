"""The tab "txt2img", made from the parameter records."""

from __future__ import annotations

from gesso import Page
from gesso_ui.generation import build_generation


def build(page: Page) -> None:
    """Prompts, settings and result, side by side or below each other."""
    form = build_generation(page, "txt2img")
    page.takes("txt2img", form.taken, form.inputs)
