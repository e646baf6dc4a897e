"""The exchange, and its undoing."""

from __future__ import annotations

from gesso import RunContext


def load(ctx: RunContext) -> None:
    """Put the chosen autoencoder into the model's place until the job ends."""
    ref = ctx.job.components.get("vae")
    if ref is not None:
        model = ctx.loaded()
        chosen = ctx.acquire_vae(ref)
        ctx.resources.callback(setattr, model, "vae", model.vae)
        model.vae = chosen
