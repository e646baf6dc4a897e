"""Pictures people bring: opened safely, turned upright, flattened, brought to a size. Torch-free."""

from __future__ import annotations

import io
from typing import Any, Literal, get_args

from PIL import Image, ImageColor, ImageOps

from gesso.errors import BadFileError, InvalidInputError

ResizeMode = Literal["Just resize", "Crop and resize", "Resize and fill"]
MAX_PIXELS = 2**26
"""Width × height of a picture somebody brings: 8192 × 8192. More would take gigabytes on its way."""
TYPES = {
    "PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "WEBP": "image/webp", "AVIF": "image/avif",
    "GIF": "image/gif", "BMP": "image/bmp", "TIFF": "image/tiff",
}  # fmt: skip
"""Formats that are opened, by Pillow's name, with their MIME types."""


def picture_type(data: bytes, *, name: str = "This picture") -> str:
    """The MIME type of a picture gesso can open, told from its header; BadFileError when it is none or too large."""
    return TYPES[str(_opened(data, name).format)]


def picture_size(data: bytes, *, name: str = "This picture") -> tuple[int, int]:
    """(width, height) of a picture as it is looked at, so after the turn its EXIF data asks for. Decodes no pixel."""
    image = _opened(data, name)
    turned = image.getexif().get(0x0112) in (5, 6, 7, 8)
    return (image.height, image.width) if turned else image.size


def open_picture(data: bytes, *, name: str = "This picture") -> Image.Image:
    """A picture upright and decoded: mode L, RGB or RGBA. BadFileError says what is wrong with it."""
    image = _opened(data, name)
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        return _eight_bits(upright)
    except Exception as error:
        raise BadFileError(f"{name} is damaged: {error}.", hint="Save it anew, as PNG.") from error


def flattened(image: Image.Image, background: str = "#ffffff") -> Image.Image:
    """RGB; what is transparent shows `background`, a colour such as "#ffffff". InvalidInputError: no colour."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    try:
        colour = ImageColor.getrgb(background)[:3]
    except ValueError:
        raise InvalidInputError(f"{background[:40]!r} is no colour; write it as #ffffff.") from None
    ground = Image.new("RGBA", image.size, (*colour, 255))
    ground.alpha_composite(image)
    return ground.convert("RGB")


def resize_picture(image: Image.Image, size: tuple[int, int], mode: ResizeMode = "Just resize") -> Image.Image:
    """The picture at `size` (width, height).

    "Just resize" stretches it, "Crop and resize" fills the size and cuts what sticks out, "Resize and fill" fits it in
    and draws its outermost lines out over the rest. The rounding is A1111's.
    """
    if mode not in get_args(ResizeMode):
        raise InvalidInputError(f"{mode!r} is no way to resize a picture: {', '.join(get_args(ResizeMode))}.")
    if image.size == size:
        return image
    if mode == "Just resize":
        return image.resize(size, Image.Resampling.LANCZOS)
    (width, height), crop = size, mode == "Crop and resize"
    wider = width * image.height > image.width * height  # the place is wider than the picture
    inner_width = width if wider == crop else max(1, image.width * height // image.height)
    inner_height = height if wider != crop else max(1, image.height * width // image.width)
    inner = image.resize((inner_width, inner_height), Image.Resampling.LANCZOS)
    left, top = width // 2 - inner_width // 2, height // 2 - inner_height // 2
    placed = Image.new(image.mode, size)
    placed.paste(inner, (left, top))
    if not crop:
        _draw_out(placed, inner, left, top)
    return placed


def _draw_out(placed: Image.Image, inner: Image.Image, left: int, top: int) -> None:
    """Fill the bars beside or above and below `inner` with its outermost lines."""
    width, height = placed.size
    right, below = width - left - inner.width, height - top - inner.height
    bars = (
        ((0, 0), (left, height), (0, 0, 0, inner.height)),
        ((left + inner.width, 0), (right, height), (inner.width, 0, inner.width, inner.height)),
        ((0, 0), (width, top), (0, 0, inner.width, 0)),
        ((0, top + inner.height), (width, below), (0, inner.height, inner.width, inner.height)),
    )
    for place, size, line in bars:
        if min(size) > 0:
            x0, y0, x1, y1 = line
            if x0 == x1:
                x0, x1 = (0, 1) if x0 == 0 else (x0 - 1, x0)
            else:
                y0, y1 = (0, 1) if y0 == 0 else (y0 - 1, y0)
            placed.paste(inner.crop((x0, y0, x1, y1)).resize(size, Image.Resampling.NEAREST), place)


def _opened(data: bytes, name: str) -> Image.Image:
    """The picture, nothing decoded yet."""
    Image.init()
    known = [kind for kind in TYPES if kind in Image.OPEN]  # a Pillow may be built without some
    try:
        image = Image.open(io.BytesIO(data), formats=known)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadFileError(f"{name} is far too large.", hint=f"{MAX_PIXELS:,} pixels are the most.") from None
    except Exception:
        raise BadFileError(f"{name} is no picture gesso can open.", hint=f"It opens {', '.join(known)}.") from None
    if image.width * image.height > MAX_PIXELS:
        text = f"{name} is too large: {image.width} × {image.height} pixels."
        raise BadFileError(text, hint=f"{MAX_PIXELS:,} pixels are the most; make it smaller first.")
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """Mode L, RGB or RGBA."""
    if image.mode.startswith(("I", "F")):
        highest: Any = image.convert("F").getextrema()[1]
        scale = 1.0 if highest <= 255 else 255 / 65535  # 16 bits, by their values
        return image.convert("F").point(lambda value: value * scale).convert("L")
    if image.mode in ("L", "RGB", "RGBA"):
        return image
    if image.mode == "1":
        return image.convert("L")
    transparent = "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa")
    return image.convert("RGBA" if transparent else "RGB")
