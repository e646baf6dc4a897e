"""The picture on a larger canvas, and the mask of what is new."""

from __future__ import annotations

from PIL import Image

from gesso import InvalidInputError, RunContext

from .geometry import Place, place
from .plugin import OutpaintParams


def grow(ctx: RunContext) -> None:
    """Put the picture where it belongs; everything else is painted, and a little of its edge with it."""
    record, canvas = ctx.params("outpaint", OutpaintParams), ctx.canvas
    if not record.enabled or canvas is None:
        return
    if canvas.mask is not None:
        raise InvalidInputError("A picture is outpainted or inpainted, not both at once.", hint="Remove the mask.")
    picture = canvas.picture
    if ctx.size[0] < picture.width or ctx.size[1] < picture.height:
        raise InvalidInputError(f"{ctx.size[0]}x{ctx.size[1]} is smaller than the picture that is to grow.")
    at = place(picture.size, ctx.size, record.directions)
    canvas.picture, canvas.resize = Image.new("RGB", ctx.size), "Just resize"
    canvas.picture.paste(picture, (at.left, at.up))
    # The mask goes so far into the picture that its softened edge ends at the picture's; the colours and latents of the
    # picture are taken from nearer to its edge.
    canvas.mask = frame(at, ctx.size, record.blur * 2)
    canvas.fill_mask = frame(at, ctx.size, record.blur // 2)
    canvas.blur, canvas.content, canvas.padding = (record.blur, record.blur), record.content, None


def frame(at: Place, size: tuple[int, int], margin: int) -> Image.Image:
    """L, of `size`: white, black where the picture lies, less a margin at the sides that grow."""
    mask = Image.new("L", size, 255)
    left, top = at.left + margin * (at.left > 0), at.up + margin * (at.up > 0)
    right = size[0] - at.right - margin * (at.right > 0)
    bottom = size[1] - at.down - margin * (at.down > 0)
    if right > left and bottom > top:
        mask.paste(0, (left, top, right, bottom))
    return mask
