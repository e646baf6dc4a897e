"""What sixteen latent channels look like: a linear map to RGB, fitted to the model's own autoencoder.

The autoencoder encodes one picture of coloured patches; least squares say which colour each latent stood for. So the
preview is right for any autoencoder, exchanged ones too, with no table of numbers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from gesso import Component, PreviewFn, Vae

SIDE, PATCH = 128, 16
"""Pixels of the fitted picture and of a patch in it."""
RIDGE = 1e-3
"""How much the map is drawn to zero: channels that say nothing of colour stay out of it."""


def fit(vae: Component) -> PreviewFn:
    """The preview for this autoencoder."""
    assert isinstance(vae.record, Vae)
    cells = torch.rand(1, 3, SIDE // PATCH, SIDE // PATCH, generator=torch.Generator().manual_seed(0))
    picture = F.interpolate(cells, size=(SIDE, SIDE), mode="nearest")
    pixels = (picture * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    latents = vae.record.encode.load()(vae, pixels, None).float().cpu()
    seen = F.interpolate(picture, size=latents.shape[-2:], mode="area")
    known = torch.cat([latents[0].flatten(1), torch.ones(1, latents[0, 0].numel())]).T.double()
    target = (seen[0].flatten(1).T * 2 - 1).double()
    normal = known.T @ known + RIDGE * len(known) * torch.eye(known.shape[1], dtype=torch.float64)
    factors: torch.Tensor = torch.linalg.solve(normal, known.T @ target).float()

    def preview(x0: torch.Tensor) -> torch.Tensor:
        rgb: torch.Tensor = torch.einsum("chw,cr->hwr", x0.float().cpu(), factors[:-1]) + factors[-1]
        return ((rgb + 1) * 127.5).clamp(0, 255).to(torch.uint8)

    return preview
