"""What the toy family does: predict half of x, decode a latent cell to eight by eight pixels."""

from __future__ import annotations

import torch

from gesso import Cond, CondEntry, DiscreteSampling


def build(config):
    return torch.nn.Linear(1, 1, bias=False, device="meta")


def sampling(match):
    return DiscreteSampling.from_betas()


def encode_prompt(model, prompts, *, size, role, options):
    return Cond([CondEntry({"context": torch.zeros(1, 1, 1)}, role=role)])


def predict(model, x, sigma, cond):
    return model.parts["net"].module(x.flatten().unsqueeze(1)).view_as(x)


def decode(component, latents):
    return (
        preview(latents[0])
        .repeat_interleave(8, 0)
        .repeat_interleave(8, 1)
        .unsqueeze(0)
        .expand(len(latents), -1, -1, -1)
    )


def encode(component, pixels, noise):
    raise NotImplementedError


def preview(x0):
    return ((x0[:3].permute(1, 2, 0) + 1) * 127.5).clamp(0, 255).to(torch.uint8)


def read_input(ctx):
    ref = ctx.request.inputs.get("toy")
    if ref is not None:
        ctx.emit("warning", message=f"toy: {len(ctx.blobs.get(ref))} bytes")
