"""A mask painted over a picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from gesso import GessoError, flattened, open_picture, text

BRUSH = "#ffffff"


class MaskEditor:
    """Made in the current Gradio context: a button that brings the picture, then an editor to paint on it."""

    def __init__(self, picture: Any, **look: Any) -> None:
        """`picture` is the component of the picture that is painted over (a `picture_input`)."""
        self._button = gr.Button(text("shell.mask.paint"), size="sm", elem_classes="gesso-paint-button")
        self.component = gr.ImageEditor(
            label=text("shell.mask.editor"), type="pil", format="png", sources=[], transforms=[], layers=False,
            buttons=[], visible=False, brush=gr.Brush(colors=[BRUSH], color_mode="fixed"), elem_classes="gesso-editor",
            **look,
        )  # fmt: skip
        private: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self._button.click(self._begin, picture, self.component, **private)
        # A mask belongs to its picture.
        picture.change(lambda: gr.ImageEditor(value=None, visible=False), outputs=self.component, **private)

    @staticmethod
    def _begin(picture: str | None) -> Any:
        if not picture:
            gr.Info(text("shell.mask.first"))
            return gr.skip()
        try:
            image = flattened(open_picture(Path(picture).read_bytes()))
        except GessoError as error:
            gr.Warning(str(error))
            return gr.skip()
        return gr.ImageEditor(value={"background": image, "layers": [], "composite": None}, visible=True)

    @staticmethod
    def mask(value: Any) -> bytes | None:
        """PNG, white where something was painted, from the editor's value; None when nothing was."""
        layers = [layer for layer in (value or {}).get("layers") or [] if layer is not None]
        if not layers:
            return None
        painted = np.zeros((layers[0].height, layers[0].width), dtype=bool)
        for layer in layers:
            painted |= np.asarray(layer.convert("RGBA").resize((painted.shape[1], painted.shape[0])))[..., 3] > 0
        if not painted.any():
            return None
        buffer = io.BytesIO()
        Image.fromarray(np.where(painted, 255, 0).astype(np.uint8)).save(buffer, "PNG")
        return buffer.getvalue()
