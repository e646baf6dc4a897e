"""A session's work: progress line and bar, live preview, the pictures of the newest job, infotext, Interrupt, Skip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from gesso import FileRef, HostService, JobRecord, Request, StoredArtifact, text
from gesso_ui.session import owner_of

from .gallery import SUFFIXES, Picture, gallery, gallery_html
from .notice import message, notice

LIVE = f"""
<div class="gesso-bar" role="progressbar" aria-valuemin="0" aria-valuemax="100"
  aria-label="{text("shell.live.progress")}"><div class="gesso-fill"></div></div>
<p class="gesso-line" role="status"></p>
<details class="gesso-queue gesso-acts" open hidden><summary></summary><ol></ol></details>
<img class="gesso-preview" alt="{text("shell.live.preview")}" hidden>
"""
MOUNT = """
import(new URL("gesso/static/live.js", document.baseURI)).then((live) => live.mountJob(element, () => trigger("made")));
"""
SHOWN = 200
"""Pictures of a job the gallery shows at most: the last ones."""


class JobView:
    """Made in the current Gradio context, in three parts that may stand in different places."""

    def __init__(self, service: HostService, shows: Callable[[Request], bool] = lambda request: True) -> None:
        """`shows` says which of the session's jobs belong here (`RequestForm.fits`)."""
        self._service, self._shows = service, shows
        self.shown: Any = gr.State([])
        """Data of the pictures in the gallery, in order: file, name, seed, infotext."""
        self.selected: Any = gr.State({})
        """Data of the selected one."""

    def buttons(self) -> None:
        """Interrupt and Skip."""
        self._interrupt = gr.Button(
            text("shell.interrupt"), variant="stop", min_width=80, elem_classes="gesso-interrupt-button"
        )
        self._skip = gr.Button(text("shell.skip"), min_width=80, elem_classes="gesso-skip-button")

    def panel(self) -> None:
        """Messages, progress, preview, gallery, a row for buttons (`actions`) and infotext."""
        self.notice = notice()
        self._live = gr.HTML(LIVE, elem_classes="gesso-live", js_on_load=MOUNT)
        self._outcome = notice()
        self._gallery = gallery()
        self.actions = gr.Row(elem_classes="gesso-actions gesso-acts")
        self._infotext = gr.Textbox(
            label=text("shell.infotext"), lines=2, max_lines=12, interactive=False, buttons=["copy"], visible=False,
            elem_classes="gesso-infotext",
        )  # fmt: skip

    def wire(self) -> None:
        """Connect the parts. Call it once, when all are there."""
        private: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self._interrupt.click(self._on_interrupt, outputs=self.notice, **private)
        self._skip.click(self._on_skip, outputs=self.notice, **private)
        self._live.made(
            self._newest, [self.shown, self.selected],
            [self._outcome, self._gallery, self.shown, self.selected, self._infotext], **private,
        )  # fmt: skip
        self._gallery.pick(self._on_pick, self.shown, [self.selected, self._infotext], queue=False, **private)

    # --- handlers ---------------------------------------------------------------------------------------------

    def _running(self, request: gr.Request) -> JobRecord | None:
        return next(iter(self._service.queue.jobs("running", owner=owner_of(request), limit=1)), None)

    def _on_interrupt(self, request: gr.Request) -> str:
        """The running job ends and keeps what is finished; with none running, the waiting ones are dropped."""
        running = self._running(request)
        if running is not None:
            self._service.queue.interrupt(running.id)
        else:
            self._service.queue.cancel_all(owner_of(request) or "-")
        return ""

    def _on_skip(self, request: gr.Request) -> str:
        running = self._running(request)
        if running is not None:
            self._service.queue.skip(running.id)
        return ""

    def _newest(self, shown: list[dict[str, Any]], selected: dict[str, Any], request: gr.Request) -> list[Any]:
        """What the newest job brought: outcome, gallery, its data, the selected picture, its infotext."""
        jobs = self._service.queue.jobs(owner=owner_of(request), kind="generate", newest_first=True, limit=20)
        mine = [record for record in jobs if self._shows(record.job.request)]
        begun = [record for record in mine if record.made or record.state != "queued"]
        outcome = _outcome(begun[0]) if begun else ""
        pictures: list[dict[str, Any]] = []
        for record in begun:
            if pictures := self._pictures(record):
                break
        if pictures == shown:
            return [outcome, gr.skip(), gr.skip(), gr.skip(), gr.skip()]
        place = pictures.index(selected) if selected in pictures else 0
        now = pictures[place] if pictures else {}
        html = gallery_html([_picture(data) for data in pictures], place)
        return [outcome, html, pictures, now, _infotext(now)]

    def _pictures(self, record: JobRecord) -> list[dict[str, Any]]:
        """Data of the job's pictures; those whose file is gone are left out."""
        queue = self._service.queue
        stored = [one for one in queue.artifacts(record.id) if one.artifact.kind in ("image", "grid")]
        return [_data(one) for one in stored[-SHOWN:] if queue.store.files.has(one.artifact.file)]

    @staticmethod
    def _on_pick(shown: list[dict[str, Any]], event: gr.EventData) -> tuple[dict[str, Any], Any]:
        index = int(event._data.get("index", 0))
        data = shown[index] if 0 <= index < len(shown) else {}
        return data, _infotext(data)


def _data(stored: StoredArtifact) -> dict[str, Any]:
    """What the page keeps of an artifact; plain data, since it lives in Gradio's state."""
    artifact = stored.artifact
    seed, infotext = str(artifact.meta.get("seed", "")), str(artifact.meta.get("infotext", ""))
    name = Path(stored.path).name or f"{stored.job[:8]}-{stored.index}{SUFFIXES.get(artifact.file.type, '')}"
    return {"file": artifact.file.model_dump(), "name": name, "seed": seed, "infotext": infotext}


def _picture(data: dict[str, Any]) -> Picture:
    return Picture(FileRef(**data["file"]), data["name"], data["infotext"].partition("\n")[0][:200])


def _outcome(record: JobRecord) -> str:
    """How a job ended, where that is not plain to see."""
    if record.state == "failed":
        return message(record.error or text("shell.job.failed"))
    if record.state == "interrupted" and not record.made:
        return message(text("shell.job.interrupted_early"), "warning")
    return message(text("shell.job.cancelled"), "warning") if record.state == "cancelled" else ""


def _infotext(data: dict[str, Any]) -> Any:
    text = data.get("infotext", "")
    return gr.Textbox(value=text, visible=bool(text))
