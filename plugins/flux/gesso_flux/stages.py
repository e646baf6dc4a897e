"""Flux.1's options on their way into a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image

from gesso import FlowSampling, InvalidInputError, Model, RunContext, Vae, flattened, open_picture

from .params import NAME, FluxParams

TOKEN = 16
"""Pixels of a token's side."""
MOST_PIXELS = 1024 * 1024
"""Kontext was trained with pictures of about a million pixels."""


def tell(ctx: RunContext) -> None:
    """Stage, with the model loaded: what was asked for, as the options of `encode_prompt`."""
    if ctx.loaded().family.name != NAME:
        return
    asked = ctx.params(NAME, FluxParams)
    if asked.distilled_cfg:
        ctx.text_options["flux_guidance"] = asked.distilled_cfg
    if asked.t5_tokens:
        ctx.text_options["t5_tokens"] = asked.t5_tokens
    if asked.reference is not None:
        ctx.text_options["flux_reference"] = _reference(ctx, open_picture(ctx.blobs.get(asked.reference)))


@torch.inference_mode()
def _reference(ctx: RunContext, picture: Image.Image) -> torch.Tensor:
    """The latents (1,16,h,w) of the picture to edit, at no more than a million pixels."""
    model = ctx.loaded()
    if model.match.variant != "dev":
        raise InvalidInputError(f"{model.ref.name} is Flux.1 {model.match.variant}, which edits no pictures.",
                                hint="Choose Flux.1 Kontext, or use image to image.")  # fmt: skip
    assert isinstance(model.vae.record, Vae)
    picture = flattened(picture, "#ffffff")
    factor = min(1.0, (MOST_PIXELS / (picture.width * picture.height)) ** 0.5)
    size = tuple(max(TOKEN, round(side * factor / TOKEN) * TOKEN) for side in picture.size)
    pixels = picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    return model.vae.record.encode.load()(model.vae, torch.from_numpy(np.array(pixels))[None], None)


@contextmanager
def shifted(ctx: RunContext, model: Model) -> Iterator[None]:
    """The model with the shift that was asked for."""
    before, shift = model.sampling, ctx.params(NAME, FluxParams).shift
    if shift:
        model.sampling = FlowSampling(shift)
    try:
        yield
    finally:
        model.sampling = before
