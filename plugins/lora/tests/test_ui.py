"""The panel below the prompts: what a file says of itself, and its tag in the prompt."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from gesso.testing import headless_page, load_host
from gesso_lora.ui import added, names, told


def test_a_file_is_told_of(make: Any) -> None:
    assert names(make.service) == [("cross", "cross"), ("outline", "outline")]
    text, preview, strength = told(make.service, "cross")
    assert "Teaches the word cross" in text
    assert "Trigger words: cross" in text
    assert "Kind: lora" in text
    assert (preview.visible, strength) == (False, 1)
    beside = Path(make.service.library.find("outline", "lora").path).with_suffix(".png")
    Image.new("RGB", (8, 8)).save(beside)
    beside.with_suffix(".json").write_text('{"preferred weight": 0.7}')
    try:
        _, preview, strength = told(make.service, "outline")
        assert (preview.visible, strength) == (True, 0.7)
    finally:
        beside.unlink()
        beside.with_suffix(".json").unlink()
    assert told(make.service, "gone")[0].startswith("Unknown lora 'gone'")


@pytest.mark.parametrize(
    ("prompt", "made"),
    [
        ("a red shape", "a red shape <lora:cross:0.5> cross"),
        ("a red Cross ", "a red Cross <lora:cross:0.5>"),
        ("", "<lora:cross:0.5> cross"),
    ],
)
def test_its_tag_goes_into_the_prompt(make: Any, prompt: str, made: str) -> None:
    assert added(make.service, prompt, "cross", 0.5) == made
    assert added(make.service, prompt, None, 0.5) == prompt


def test_it_stands_in_both_tabs() -> None:
    with load_host(["builtin", "lora"]) as host, headless_page(host) as page:

        async def build() -> None:  # Gradio leaves event loops behind where none runs
            for tab in ("txt2img", "img2img"):
                with gr.Blocks(analytics_enabled=False) as blocks:
                    host.registry("tabs").get(tab).build.load()(page)
                assert any(getattr(block, "value", "") == "Add to the prompt" for block in blocks.blocks.values())

        asyncio.run(build())
        assert [state.error for state in host.states if state.error] == []
