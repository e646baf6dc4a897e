"""The picture a run starts from, and what of it is painted anew: what img2img, inpainting and outpainting agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from gesso.engine.types import Latents

Content = Literal["fill", "original", "latent noise", "latent nothing"]


class BlendFn(Protocol):
    """(clean latents, an estimate of the picture (B,C,H,W), σ) → the estimate with what shall stay put back."""

    def __call__(self, clean: Tensor, x0: Tensor, sigma: float) -> Tensor: ...


@dataclass(slots=True)
class Canvas:
    """What a run starts from. One a job; `RunContext.canvas`.

    Stages at "prepare" say what is wanted (`picture` to `blend`); what stands below is made of it, by the stages that
    bring it to the run's size, before anything is encoded. Whoever paints a part of a picture anew fills in a mask.
    """

    picture: Image.Image
    """RGB, any size. Where nothing is painted, the result shows this picture, pixel by pixel."""
    resize: str = "Just resize"
    """A `gesso.ResizeMode`, or "Just resize (latent upscale)": encoded as it is, its latents are stretched."""
    mask: Image.Image | None = None
    """L, as large as `picture`: white is painted anew. None: everything."""
    blur: tuple[float, float] = (0.0, 0.0)
    """How far the mask's edge is softened, across and down: the standard deviation in pixels."""
    content: Content = "original"
    """What is under the mask when the run begins."""
    fill_mask: Image.Image | None = None
    """L, as large as `picture`: what `content` and the latents go by, where that is not the mask itself."""
    padding: int | None = None
    """Paint only the masked part, with so many pixels around it, at the run's full size. None: the whole picture."""
    weight: float = 1.0
    """How much of what is under the mask is hidden from models made for inpainting."""
    round_mask: bool = True
    """Latents are either painted or kept. False: their share is the mask's."""
    blend: BlendFn | None = None
    """How what is kept comes back into each estimate; None: by the mask."""

    pixels: Image.Image | None = None
    """RGB: what is encoded. None: the picture itself, resized."""
    region: tuple[int, int, int, int] | None = None
    """The part of `picture` that is painted (left, top, right, bottom); None: all of it."""
    run_mask: Image.Image | None = None
    """L, as large as `pixels`: the blurred mask the run goes by."""
    overlay: Image.Image | None = None
    """L, as large as `picture`: where it is black, the result is `picture` exactly."""
    overlays: list[Image.Image] | None = None
    """As `overlay`, one for each picture of the batch; made after sampling, by whoever decides it then."""
    clean: Latents | None = None
    """The encoded picture (1,…)."""
    keep: Tensor | None = None
    """(1,1,H,W) of the latents' size, 0 to 1: 1 is kept."""
