"""A picture somebody brings: the file as it was chosen, which gesso looks at and the page does not."""

from __future__ import annotations

from abc import ABCMeta
from typing import Any

import gradio as gr


def _path(self: Any, payload: Any) -> str | None:
    """Instead of Gradio's own look at the file, whose error for what is no picture names a path of the server."""
    return None if payload is None else str(payload.path)


# A class statement would have Gradio write a .pyi file beside this one whenever it is imported; ABCMeta does not.
# As a template it is drawn as a gr.Image.
_ChosenFile: Any = ABCMeta.__new__(
    type(gr.Image), "ChosenFile", (gr.Image,), {"preprocess": _path, "is_template": True, "__module__": __name__}
)


def picture_input(**look: Any) -> Any:
    """The component; its value is the path of the chosen file, whatever that is, None without one."""
    return _ChosenFile(type="filepath", image_mode=None, format="png", sources=["upload", "clipboard"], **look)
