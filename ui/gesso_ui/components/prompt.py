"""A prompt box: how many tokens there are as one types, and weights with Ctrl+↑ and Ctrl+↓."""

from __future__ import annotations

from typing import Any

import gradio as gr

from gesso import text

MOUNT = """
import(new URL("gesso/static/prompt.js", document.baseURI)).then((prompt) => prompt.mount(element));
"""


def token_counter(box: str, model: str, steps: str, role: str) -> Any:
    """The counter of the prompt box with the id `box`; `model` and `steps` are the ids of those fields.

    Made in the current Gradio context, beside the box. `role` is "positive" or "negative".
    """
    return gr.HTML(
        f'<output class="gesso-tokens" data-box="{box}" data-model="{model}" data-steps="{steps}" data-role="{role}" '
        f'aria-label="{text("shell.tokens")}"></output>',
        js_on_load=MOUNT, elem_classes="gesso-token-counter",
    )  # fmt: skip
