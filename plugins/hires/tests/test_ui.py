"""The panel on the tab txt2img, and pictures that are sent to be enlarged."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from gesso.testing import headless_page, load_host
from gesso_hires.ui import told


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((512, 768, 1.5, 0, 0, None), "512 × 768 → **768 × 1152**"),
        ((512, 768, 2, 1024, 0, None), "512 × 768 → **1024 × 1536**"),
        ((16384, 768, 2, 0, 0, None), "16,384"),
        ((None, 768, 2, 0, 0, None), "NoneType"),
    ],
)
def test_the_size_that_comes_of_it(values: tuple[Any, ...], said: str) -> None:
    assert said in told(*values)


def test_a_picture_that_is_sent_here_stands_in_the_form_with_the_pass_switched_on() -> None:
    with load_host(["builtin", "hires"]) as host, headless_page(host) as page:
        taken: list[tuple[str, Any, Any]] = []
        object.__setattr__(page, "takes", lambda *what: taken.append(what))

        async def build() -> None:  # Gradio leaves event loops behind where none runs
            with gr.Blocks(analytics_enabled=False):
                host.registry("tabs").get("txt2img").build.load()(page)

        asyncio.run(build())
        assert [state.error for state in host.states if state.error] == []
        ((_, take, outputs),) = [what for what in taken if what[0] == "Enlarge"]
        data = io.BytesIO()
        Image.new("RGB", (48, 32), "red").save(data, "PNG")
        file = page.service.take_picture(data.getvalue()).model_dump()
        updates = dict(zip([component.elem_id for component in outputs], take({"file": file}), strict=True))
        assert updates["txt2img-hires-HiresParams-enabled"]["value"] is True
        assert updates["txt2img-hires-HiresParams-picture"]["value"].size == (48, 32)
