"""The files of a prompt at work on a model. Runs in the worker."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from gesso import AdapterPatch, Model, RunContext, StashKey, UnknownNameError, adapter_patches, patched

from .hashes import short_hash
from .plugin import NAME, LoraParams
from .tags import Strength, Tag
from .weights import cut


class Applied:
    """Tags with their patches, and the strengths the denoiser has now."""

    def __init__(self, ctx: RunContext, model: Model, tags: Sequence[Tag]) -> None:
        self._ctx, self._model, self._now = ctx, model, ExitStack()
        self._factor = ctx.params(NAME, LoraParams).strength
        self._strengths: list[float] | None = None
        self.text: list[tuple[AdapterPatch, float]] = []
        self._denoiser: list[tuple[list[AdapterPatch], Strength]] = []
        for tag in tags:
            self._take(tag)

    def _take(self, tag: Tag) -> None:
        """Both halves of a file. One that is not there is left out with a warning, as in A1111."""
        try:
            found = adapter_patches(self._ctx, self._model, tag.name)
        except UnknownNameError as error:
            self._ctx.emit("warning", message=f"<lora:{tag.name}> is left out: {error}")
            return
        if tag.rank is not None:
            found = [cut(patch, tag.rank) for patch in found]
        text = set(self._model.text)
        strength = tag.text.highest * self._factor
        self.text += [(patch, strength) for patch in found if patch.target.component in text]
        self._denoiser.append(([patch for patch in found if patch.target.component not in text], tag.denoiser))
        entry = self._ctx.library.find(tag.name, "lora")
        stated = self._ctx.library.header(entry.path).metadata.get("sshs_model_hash", "")
        names = self._ctx.stash.setdefault(USED, {})
        names[re.sub("[:,]", "", entry.path.stem)] = short_hash(entry.path, stated)

    def to_step(self, step: int, total: int) -> None:
        """The denoiser's strengths as they are in a step; nothing is done where they stay the same."""
        strengths = [strength.at(step, total) * self._factor for _, strength in self._denoiser]
        if strengths == self._strengths:
            return
        self.close()
        pairs = [(patch, value) for (found, _), value in zip(self._denoiser, strengths, strict=True) for patch in found]
        # Strengths that change are worth a little in every step: writing them anew each time would cost more.
        changing = not all(strength.is_constant for _, strength in self._denoiser)
        self._now.enter_context(patched(self._model, pairs, self._tell, beside=changing))
        self._strengths = strengths

    def close(self) -> None:
        """The denoiser's weights as they were."""
        self._strengths = None
        self._now.close()

    def _tell(self, done: int, total: int) -> None:
        if self._strengths is None:
            self._ctx.progress("adapters", done, total)


APPLIED: StashKey[list[Applied]] = StashKey()
"""What is applied now; the last is the pass's that runs."""
USED: StashKey[dict[str, str]] = StashKey()
"""Name → hash of every file that was used in the job."""


@contextmanager
def applied(ctx: RunContext, model: Model, tags: Sequence[Tag]) -> Iterator[None]:
    """The model with the files of these tags; afterwards its weights are what they were, to the bit."""
    mine = Applied(ctx, model, tags)
    running = ctx.stash.setdefault(APPLIED, [])
    with patched(model, mine.text):
        running.append(mine)
        try:
            mine.to_step(0, ctx.request.steps)
            yield
        finally:
            running.remove(mine)
            mine.close()


def to_step(ctx: RunContext, step: int, total: int) -> None:
    """A step of the pass that runs begins."""
    running = ctx.stash.get(APPLIED)
    if running:
        running[-1].to_step(step, total)


def used(ctx: RunContext) -> dict[str, str]:
    """Name → short hash."""
    found: dict[str, str] = ctx.stash.get(USED, {})
    return found
