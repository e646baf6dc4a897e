"""Pictures: one large, all small below it. Own markup, served from the store by content hash: nothing is copied or
converted on the way, what was once shown is in the browser's cache, and new pictures take no focus away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from gesso import FileRef, text

SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
MOUNT = """
import(new URL("gesso/static/gallery.js", document.baseURI)).then((gallery) => {
  gallery.mount(element, (index) => trigger("pick", { index }));
});
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is shown: the stored file, the name it gets when downloaded, what it is to who cannot see it."""

    file: FileRef
    name: str
    description: str

    @property
    def url(self) -> str:
        """Relative to the page."""
        return f"gesso/file/{self.file.sha256}{SUFFIXES.get(self.file.type, '')}"


def gallery(**look: Any) -> Any:
    """The component. Give it `gallery_html`; its event `pick` brings `index`, the number of the picture."""
    return gr.HTML(gallery_html([]), js_on_load=MOUNT, elem_classes="gesso-gallery", **look)


def gallery_html(pictures: Sequence[Picture], selected: int = 0) -> str:
    """The value of a gallery."""
    if not pictures:
        return f'<p class="gesso-empty">{text("shell.gallery.empty")}</p>'
    chosen = min(selected, len(pictures) - 1)
    big = _big(pictures[chosen])
    if len(pictures) == 1:
        return big
    small = "".join(_small(picture, number, number == chosen) for number, picture in enumerate(pictures))
    label = text("shell.gallery.pictures")
    return f'{big}<div class="gesso-thumbs" role="group" aria-label="{label}">{small}</div>'


def _big(picture: Picture) -> str:
    name = escape(picture.name)
    download = text("shell.gallery.download", name=name)
    return (
        f'<a class="gesso-picture" href="{picture.url}" target="_blank" title="{text("shell.gallery.full_size")}">'
        f'<img src="{picture.url}" alt="{escape(picture.description)}"></a>'
        f'<a class="gesso-download" href="{picture.url}" download="{name}">{download}</a>'
    )


def _small(picture: Picture, number: int, pressed: bool) -> str:
    label = escape(text("shell.gallery.picture", number=number + 1, description=picture.description))
    return (
        f'<button type="button" data-index="{number}" data-name="{escape(picture.name)}" aria-label="{label}" '
        f'aria-pressed="{str(pressed).lower()}"><img src="{picture.url}" alt="" loading="lazy"></button>'
    )
