"""Stage bodies of a plain generation."""

from __future__ import annotations

from PIL import Image

from gesso import (
    InvalidInputError,
    Output,
    RunContext,
    encode_output,
    format_infotext,
    job_pairs,
    legal_pairs,
    ordered_pairs,
)


def load(ctx: RunContext) -> None:
    """The model of the job, loaded or already there."""
    if ctx.job.model is None:
        raise InvalidInputError("The job names no model.")
    ctx.model = ctx.acquire(ctx.job.model)


def encode(ctx: RunContext) -> None:
    """Prompt and negative prompt, once a job."""
    if ctx.positive is None:
        ctx.positive = ctx.encode_prompt(ctx.request.prompt, role="positive")
        ctx.negative = ctx.encode_prompt(ctx.request.negative_prompt, role="negative")


def init(ctx: RunContext) -> None:
    """Clean latents to start from, when a plugin has some."""
    ctx.latents = ctx.host.choose("gesso_choose_init_latents", ctx=ctx)


def sample(ctx: RunContext) -> None:
    """Noise to latents."""
    ctx.latents = ctx.denoise(ctx.latents, **ctx.overrides)


def decode(ctx: RunContext) -> None:
    """Latents to pictures, one output each."""
    if ctx.latents is None:
        return
    pixels = ctx.decode(ctx.latents)
    for i, seed in enumerate(ctx.seeds):
        ctx.outputs.append(
            Output(kind="image", data=Image.fromarray(pixels[i].numpy()), index=ctx.first_index + i, seed=seed)
        )


def postprocess(ctx: RunContext) -> None:
    """Every plugin's `gesso_filter_image`."""
    ctx.outputs = [ctx.host.filter("gesso_filter_image", output, ctx=ctx) for output in ctx.outputs]


def save(ctx: RunContext) -> None:
    """Pictures with their infotext into the blobs."""
    for output in ctx.outputs:
        output.pairs = job_pairs(ctx.host, ctx.job, seed=output.seed) | output.pairs
        output.pairs = ctx.host.filter("gesso_filter_metadata", output.pairs, output=output, ctx=ctx)
        output.pairs = legal_pairs(output.pairs, lambda why: ctx.emit("warning", message=why))
        text = format_infotext(ctx.request.prompt, ctx.request.negative_prompt, ordered_pairs(output.pairs))
        data, mime = encode_output(ctx.host, ctx.job, output.data, text, lambda why: ctx.emit("warning", message=why))
        output.file = ctx.blobs.put(data, mime)
        output.meta |= {"seed": output.seed, "infotext": text, "width": output.data.width, "height": output.data.height}
