"""The tab: a grid that a script fills from the routes, and the picture that is looked at."""

from __future__ import annotations

import re
import time
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from gesso import GessoError, Page, StoredPicture, text
from gesso_builtin.history.routes import whole

MOUNT = """
import(new URL("plugins/history/tab.js", document.baseURI)).then((tab) => {
  tab.mount(element, (id) => trigger("pick", { id }));
});
"""
PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def build(page: Page) -> None:
    """Grid, and the viewer that lies over the page while a picture is looked at."""
    grid = gr.HTML(markup("grid.html"), js_on_load=MOUNT, elem_classes="gesso-history")
    selected = gr.State({})
    with gr.Column(elem_classes="gh-viewer"):
        gr.HTML(markup("viewer.html"), js_on_load=None, elem_classes="gh-stage")
        with gr.Column(elem_classes="gh-side"):
            info = gr.HTML("", js_on_load=None, elem_classes="gh-info")
            actions = gr.Row(elem_classes="gh-actions gesso-actions")
    page.shows(actions, selected)

    def pick(event: gr.EventData) -> list[Any]:
        """What is known of the picture that is looked at now."""
        number = int(event._data.get("id", 0))
        try:
            picture = page.service.history.get(number)
        except GessoError as error:
            return [
                {},
                f'<p data-id="{number}" class="gesso-message gesso-error" role="alert">{escape(str(error))}</p>',
            ]
        known = page.service.host.registry("samplers").find(picture.sampler)
        return [whole(picture), about(picture, known.label if known else picture.sampler)]

    grid.pick(pick, outputs=[selected, info], queue=False, **PRIVATE)


def about(picture: StoredPicture, sampler: str) -> str:
    """File, size, date, and the infotext."""
    rows = {
        "made": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(picture.created)),
        "size": f"{picture.width} × {picture.height}", "model": picture.model, "sampler": sampler,
        "file": picture.path,
    }  # fmt: skip
    cells = "".join(
        f"<dt>{text(f'history.about.{key}')}</dt><dd>{escape(value)}</dd>" for key, value in rows.items() if value
    )
    told = f'<pre class="gh-infotext" tabindex="0">{escape(picture.infotext)}</pre>'
    none = f"<p>{text('history.no_infotext')}</p>"
    return f'<div data-id="{picture.id}"><dl>{cells}</dl>{told if picture.infotext else none}</div>'


def markup(name: str) -> str:
    """A file of HTML beside this one, with texts in place of their {{keys}}."""
    html = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return re.sub(r"\{\{([\w.]+)\}\}", lambda found: text(found[1]), html)
