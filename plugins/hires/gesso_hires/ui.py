"""On the page: how large the result will be, and a button below every picture that brings it here to be enlarged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from gesso import GessoError, Page, TabForm, picture_size

from .params import NAME, HiresParams
from .sizes import sizes

STEP = 8
"""What sizes are rounded down to here; the model's own step, where it is another, is known when the job runs."""
PRIVATE: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}


def build(page: Page, form: TabForm) -> None:
    """A line with both sizes, and the way here for pictures."""
    own = {name: form.component(name, NAME) for name in ("scale", "width", "height", "picture")}
    inputs = [form.component("width"), form.component("height"), *own.values()]
    line = gr.Markdown(told(*(component.value for component in inputs)), elem_id=f"{form.name}-hires-size")
    for component in inputs:
        component.change(told, inputs, line, **PRIVATE)

    def take(data: dict[str, Any]) -> list[Any]:
        """What the picture's infotext says, the picture, and the second pass switched on."""
        updates = form.taken(data, NAME, "picture")
        updates[form.inputs.index(form.component("enabled", NAME))] = gr.update(value=True)
        gr.Info('The picture stands under "Hires. fix". Generate enlarges it; take it out again for new pictures.')
        return updates

    page.takes("Enlarge", take, form.inputs)


def told(width: int, height: int, scale: float, to_width: int, to_height: int, picture: str | None) -> str:
    """ "512 × 512 → 1024 × 1024", or what is wrong with that."""
    try:
        first = picture_size(Path(picture).read_bytes()) if picture else (int(width), int(height))
        asked = HiresParams.parse({"scale": scale, "width": int(to_width or 0), "height": int(to_height or 0)})
        final = sizes((max(STEP, first[0]), max(STEP, first[1])), asked, STEP).final
    except (GessoError, TypeError, ValueError) as error:
        return str(error)
    return f"{first[0]} × {first[1]} → **{final[0]} × {final[1]}**"
