"""Live previews, in the worker: small JPEGs of what the sampler has so far.

On a GPU they are made on a thread of their own, so that sampling never waits for the device. On the CPU they are made
at once: a second thread would take the same processor and, at each of its two dozen calls into torch and Pillow, make
the sampler wait for Python's lock until the system runs it. With both cores busy that cost up to two thirds of a run.
"""

from __future__ import annotations

import io
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from PIL import Image

if TYPE_CHECKING:
    from gesso.contributions import Preview
    from gesso.engine.context import RunContext
    from gesso.engine.types import PreviewFn, Step
    from gesso.models.model import Model
    from gesso.plugins.host import Host

log = logging.getLogger("gesso.jobs")
Send = Callable[[dict[str, Any], bytes], None]
GRID = 9
"""At most so many pictures of a batch are shown."""


class _Work(NamedTuple):
    job: str
    first_index: int
    step: int
    total: int
    x0: torch.Tensor
    scale: int
    preview: Preview
    model: Model


class Previewer:
    """One preview is on its way at most: the next, the newest then, is sent when the host has taken it.

    So previews never pile up before events, and a slow reader gets fewer of them.
    """

    def __init__(
        self, host: Host, send: Send, *, at_once: bool = False, seconds: float = 0.25, side: int = 384
    ) -> None:
        """`at_once`: draw within `offer`; `seconds` between previews; no side is longer than `side` pixels, 0: none."""
        self._host, self._send, self._at_once, self._seconds, self._side = host, send, at_once, seconds, side
        self._changed = threading.Condition()
        self._waiting: _Work | None = None
        self._free = True
        self._last = -math.inf
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """A new job: what is left of the last one is dropped."""
        with self._changed:
            self._waiting, self._free, self._last = None, True, -math.inf

    def seen(self) -> None:
        """The host has taken the last one."""
        with self._changed:
            self._free = True
            self._changed.notify()

    def offer(self, ctx: RunContext, step: Step) -> None:
        """After a step. Costs a look at the clock, and when a preview is due a copy of the latents or the drawing."""
        now = time.monotonic()
        if now - self._last < self._seconds or not self._side or step.x0.ndim < 4:
            return
        if self._at_once and not self._free:
            return
        self._last = now
        model = ctx.loaded()
        registry = self._host.registry("previews")
        if model.preview not in registry:
            return
        x0 = step.x0[:GRID].detach()
        scale = model.family.streams[0].down[-1]
        preview = registry.get(model.preview)
        work = _Work(ctx.job.id, ctx.first_index, step.index + 1, step.total, x0, scale, preview, model)
        if self._at_once:
            self._free = False
            self._make(work)
        else:
            self._hand_over(work._replace(x0=x0.clone()))

    def _hand_over(self, work: _Work) -> None:
        """To the thread; what waited there is replaced."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="previews", daemon=True)
                self._thread.start()
            self._waiting = work
            self._changed.notify()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while self._waiting is None or not self._free:
                    self._changed.wait()
                work, self._waiting, self._free = self._waiting, None, False
            self._make(work)

    def _make(self, work: _Work) -> None:
        try:
            picture = draw(work.x0, preview_of(work.preview, work.model), work.scale, self._side)
            data = {
                "job": work.job, "index": work.first_index, "step": work.step, "total": work.total,
                "type": "image/jpeg", "width": picture.width, "height": picture.height,
            }  # fmt: skip
            self._send(data, _jpeg(picture))
        except Exception:
            self._last = math.inf
            log.exception("A preview could not be made; there are none for the rest of the job.")


def preview_of(preview: Preview, model: Model) -> PreviewFn:
    """The function that draws this model's latents; one that must be fitted is fitted once, and kept with the model."""
    if preview.run is not None:
        return preview.run.load()
    if preview.name not in model.fitted_previews:
        assert preview.fit is not None
        with torch.inference_mode():
            model.fitted_previews[preview.name] = preview.fit.load()(model.vae)
    return model.fitted_previews[preview.name]


def draw(x0: torch.Tensor, run: PreviewFn, scale: int, side: int) -> Image.Image:
    """Latents (B,C,H,W) or (B,C,T,H,W) as one picture, several side by side, no side longer than `side`."""
    with torch.inference_mode():
        pictures = [Image.fromarray(run(x).cpu().numpy()) for x in x0]
    width, height = pictures[0].size
    columns = math.ceil(math.sqrt(len(pictures)))
    grid = Image.new("RGB", (columns * width, math.ceil(len(pictures) / columns) * height))
    for number, picture in enumerate(pictures):
        grid.paste(picture, (number % columns * width, number // columns * height))
    factor = min(scale, side / max(grid.size))
    size = (max(1, round(grid.width * factor)), max(1, round(grid.height * factor)))
    return grid.resize(size, Image.Resampling.BICUBIC)


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
