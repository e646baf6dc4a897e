"""What text encoders are told."""

from __future__ import annotations

from gesso import RunContext

from .plugin import NAME, ClipSkip


def prepare(ctx: RunContext) -> None:
    """Before any prompt is read."""
    options = ctx.params(NAME, ClipSkip)
    if options != ClipSkip():
        ctx.text_options |= {"clip_skip": options.layers, "sdxl_clip_l_skip": options.sdxl}
