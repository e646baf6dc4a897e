"""A tab can be built twice in a page without a server."""

from __future__ import annotations

from gesso import Tab
from gesso.testing import headless_page
from gesso_smoke.rules import Needs, broken, require
from gesso_smoke.subject import Subject

OF = "tabs"
NEEDS: Needs = "code"


def check(subject: Subject, item: Tab) -> None:
    import gradio as gr

    build = item.build.load()
    for time in ("first", "second"):
        with headless_page(subject.host) as page, gr.Blocks(analytics_enabled=False) as blocks:
            try:
                build(page)
            except Exception as error:
                broken(f"The {time} time it fails: {type(error).__name__}: {error}")
        require(blocks.blocks, f"The {time} time it builds nothing.")
