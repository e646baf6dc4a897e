"""The second pass itself. Runs in the worker."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from gesso import (
    InvalidInputError,
    Latents,
    ModelRef,
    Output,
    RunContext,
    StashKey,
    Upscaler,
    flattened,
    open_picture,
    resize_picture,
)

from .params import NAME, HiresParams
from .sizes import Sizes, sizes

BROUGHT: StashKey[Image.Image] = StashKey()
"""The picture that is enlarged in place of a first pass's."""


def open_picture_to_enlarge(ctx: RunContext) -> None:
    """Open the picture somebody brought; the first pass is then left out."""
    asked = ctx.params(NAME, HiresParams)
    if not asked.enabled:
        return
    if ctx.canvas is not None:
        raise InvalidInputError("The second pass belongs to pictures made from text alone.")
    if asked.picture is not None:
        picture = flattened(open_picture(ctx.blobs.get(asked.picture)))
        ctx.stash[BROUGHT] = resize_picture(picture, ctx.size, "Crop and resize")
        ctx.overrides["steps"] = 0


def brought_latents(ctx: RunContext) -> Latents | None:
    """The brought picture's latents, once for each picture of the batch."""
    picture = ctx.stash.get(BROUGHT)
    return None if picture is None else _encoded(ctx, [picture] * len(ctx.seeds))


@torch.inference_mode()
def second_pass(ctx: RunContext) -> None:
    """Enlarge what was sampled, and sample the end of the schedule again at that size."""
    asked = ctx.params(NAME, HiresParams)
    if not asked.enabled or ctx.latents is None:
        return
    if ctx.latents.layout != "BCHW":
        raise InvalidInputError("The second pass works on pictures, not on videos.")
    stream = ctx.loaded().family.streams[0]
    planned = sizes(ctx.size, asked, ctx.loaded().defaults.multiple_of)
    upscaler: Upscaler = ctx.host.registry("upscalers").get(asked.upscaler)
    other, space = _checkpoint(ctx, asked), ctx.loaded().family.vae
    pixels = None if upscaler.run is None else _enlarged(ctx, upscaler, planned)
    if pixels is None and upscaler.latents is not None:
        ctx.latents = _stretched(ctx.latents, upscaler, planned, stream.down[-2:])
    calls = _calls(ctx, ctx.request.sampler, ctx.request.steps)
    with ctx.another_pass(size=planned.final, model=other, prompt=asked.prompt or None, calls_before=calls):
        if pixels is not None:
            ctx.latents = _encoded(ctx, pixels)
        elif ctx.loaded().family.vae != space:
            raise InvalidInputError(
                f"{ctx.loaded().ref.name} has other latents than the first pass's model.",
                hint="Choose an upscaler that works on pixels, such as Lanczos.",
            )
        if asked.strength > 0:
            ctx.latents = _sampled(ctx, asked)
        if other is not None:
            _decode_here(ctx)


def _checkpoint(ctx: RunContext, asked: HiresParams) -> ModelRef | None:
    """Another model than the first pass's, None for the same."""
    ref = ctx.library.ref(asked.checkpoint) if asked.checkpoint else None
    return None if ref is None or ref == ctx.loaded().ref else ref


def _calls(ctx: RunContext, sampler: str, steps: int) -> int:
    return steps * (2 if ctx.host.registry("samplers").get(sampler).second_order else 1)


def _stretched(latents: Latents, upscaler: Upscaler, planned: Sizes, down: tuple[int, ...]) -> Latents:
    """The latents at the final size; what sticks out is cut off on both sides."""
    assert upscaler.latents is not None
    stretch = upscaler.latents.load()
    high, wide = planned.enlarged[1] // down[0], planned.enlarged[0] // down[1]
    height, width = planned.final[1] // down[0], planned.final[0] // down[1]
    top, left = (high - height) // 2, (wide - width) // 2
    return latents.unpack(stretch(latents.main, (high, wide))[..., top : top + height, left : left + width])


def _enlarged(ctx: RunContext, upscaler: Upscaler, planned: Sizes) -> list[Image.Image]:
    """The pictures at the final size, by an upscaler of pixels."""
    assert upscaler.run is not None
    assert ctx.latents is not None
    brought = ctx.stash.get(BROUGHT)
    if brought is None:
        pictures = [Image.fromarray(pixels) for pixels in ctx.decode(ctx.latents).numpy()]
    else:
        pictures = [brought]
    run = upscaler.run.load()
    left, top = ((a - b) // 2 for a, b in zip(planned.enlarged, planned.final, strict=True))
    box = (left, top, left + planned.final[0], top + planned.final[1])
    made = []
    for number, picture in enumerate(pictures):
        ctx.progress("upscale", number, len(pictures))
        made.append(run(picture, planned.enlarged, ctx).convert("RGB").crop(box))
    return made if brought is None else made * len(ctx.seeds)


def _encoded(ctx: RunContext, pictures: list[Image.Image]) -> Latents:
    """One at a time, so that memory is that of one; the same picture once."""
    known: dict[int, torch.Tensor] = {}
    for picture in pictures:
        if id(picture) not in known:
            known[id(picture)] = ctx.encode(torch.from_numpy(np.array(picture))[None]).main
    name = ctx.loaded().family.streams[0].name
    return Latents({name: torch.cat([known[id(picture)] for picture in pictures])})


def _sampled(ctx: RunContext, asked: HiresParams) -> Latents:
    """As many steps as were asked for, over the share of the schedule that the strength leaves, as in A1111."""
    sampler = asked.sampler or ctx.request.sampler
    steps = asked.steps or ctx.request.steps
    calls = _calls(ctx, sampler, steps)
    positive = ctx.encode_prompt(asked.prompt or ctx.request.prompt, role="positive", calls=calls)
    negative = asked.negative_prompt or ctx.request.negative_prompt
    ctx.positive, ctx.negative = positive, ctx.encode_prompt(negative, role="negative", calls=calls)
    return ctx.denoise(
        ctx.latents,
        sampler=sampler,
        scheduler=asked.scheduler or ctx.request.scheduler,
        steps=steps,
        strength=asked.strength,
        full_steps=True,
        cfg_scale=asked.cfg_scale or ctx.request.cfg_scale,
    )


def _decode_here(ctx: RunContext) -> None:
    """Another checkpoint's latents are its own autoencoder's to decode."""
    assert ctx.latents is not None
    for number, pixels in enumerate(ctx.decode(ctx.latents).numpy()):
        index = ctx.first_index + number
        ctx.outputs.append(Output(kind="image", data=Image.fromarray(pixels), index=index, seed=ctx.seeds[number]))
    ctx.latents = None
