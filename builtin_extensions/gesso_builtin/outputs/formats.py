"""The formats, by Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gesso import encode_image
from gesso_builtin.outputs.options import AvifOptions, JpegOptions, PngOptions, WebpOptions

if TYPE_CHECKING:
    from PIL import Image


def png(image: Image.Image, infotext: str, options: PngOptions) -> bytes:
    """Text chunk `parameters`."""
    return encode_image(image, format="PNG", infotext=infotext, options={"compress_level": options.compression})


def jpeg(image: Image.Image, infotext: str, options: JpegOptions) -> bytes:
    """EXIF UserComment; transparency is lost."""
    colour = {"subsampling": "4:4:4" if options.full_colour else "4:2:0"}
    return encode_image(image, format="JPEG", infotext=infotext, quality=options.quality, options=colour)


def webp(image: Image.Image, infotext: str, options: WebpOptions) -> bytes:
    """EXIF UserComment."""
    return encode_image(image, format="WEBP", infotext=infotext, quality=options.quality, lossless=options.lossless)


def avif(image: Image.Image, infotext: str, options: AvifOptions) -> bytes:
    """EXIF UserComment."""
    return encode_image(
        image, format="AVIF", infotext=infotext, quality=options.quality, options={"speed": options.speed}
    )
