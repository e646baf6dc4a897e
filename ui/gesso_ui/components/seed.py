"""The seed's two buttons."""

from __future__ import annotations

from typing import Any

import gradio as gr

from gesso import text


class SeedButtons:
    """ "Random" sets −1; "Reuse" takes the seed of the selected picture. Made in the current Gradio context."""

    def __init__(self) -> None:
        self.random = gr.Button(text("shell.seed.random"), size="sm", min_width=64, elem_classes="gesso-seed-button")
        self.reuse = gr.Button(text("shell.seed.reuse"), size="sm", min_width=64, elem_classes="gesso-seed-button")

    def wire(self, seed: Any, selected: Any) -> None:
        """`seed` is the field's component, `selected` the state that holds the selected picture's data."""
        private: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
        self.random.click(lambda: "-1", outputs=seed, **private)
        self.reuse.click(lambda data: str(data.get("seed", "-1")), selected, seed, **private)
