"""Width and height at once: an aspect to choose, and a button that turns the picture."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import gradio as gr

from gesso import GessoError, HostService, text

ASPECTS = ("1:1", "5:4", "4:5", "4:3", "3:4", "3:2", "2:3", "16:9", "9:16", "21:9", "9:21")


def size_of(service: HostService, model: str, aspect: str) -> tuple[int, int]:
    """Width and height of an aspect "16:9" with about as many pixels as the model was made for.

    Both are multiples of what the model takes, chosen so that the aspect is met best.
    """
    profile, step = service.profile(model), service.size_step(model)
    area, ratio = profile["width"] * profile["height"], Fraction(aspect.replace(":", "/"))
    upright, ratio = ratio < 1, max(ratio, 1 / ratio)  # worked out lying, so that a turned picture has the same sides
    ideal = (area * ratio) ** 0.5
    widths = [max(step, round(ideal / step + shift) * step) for shift in (-1, 0, 1)]
    sizes = [(width, max(step, round(width / ratio / step) * step)) for width in widths]
    # The nearest aspect; of equal ones the nearest area.
    wide, high = min(sizes, key=lambda size: (abs(size[0] / size[1] / ratio - 1), abs(size[0] * size[1] - area)))
    return (high, wide) if upright else (wide, high)


class SizeButtons:
    """Made in the current Gradio context; `wire` connects them with model, width and height."""

    def __init__(self, service: HostService, elem_id: str) -> None:
        self._service = service
        self.aspect = gr.Dropdown(
            choices=[(text("shell.aspect.choose"), ""), *((one, one) for one in ASPECTS)], value="",
            label=text("shell.aspect"), scale=8, min_width=110, filterable=False, elem_id=f"{elem_id}-aspect",
        )  # fmt: skip
        self.swap = gr.Button(text("shell.swap"), size="sm", min_width=64, scale=1, elem_classes="gesso-side-button")

    def wire(self, model: Any, width: Any, height: Any) -> None:
        private: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
        self.aspect.input(self._on_aspect, [self.aspect, model], [width, height], **private)
        swap = "(width, height) => [height, width, '']"
        self.swap.click(None, [width, height], [width, height, self.aspect], js=swap, **private)

    def _on_aspect(self, aspect: str, model: str) -> list[Any]:
        try:
            return list(size_of(self._service, model, aspect)) if aspect else [gr.skip(), gr.skip()]
        except GessoError as error:
            gr.Warning(str(error))
            return [gr.skip(), gr.skip()]
