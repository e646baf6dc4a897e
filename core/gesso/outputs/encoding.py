"""A picture as the file its job's settings ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gesso.contributions import ImageFormat
from gesso.metadata.errors import MetadataError
from gesso.metadata.images import encode_image
from gesso.outputs.settings import OutputSettings
from gesso.types import Job

if TYPE_CHECKING:
    from PIL import Image

    from gesso.plugins.host import Host


def section_of(format: ImageFormat) -> str:
    """The settings section that holds a format's options."""
    return f"format.{format.name}"


def encode_output(
    host: Host, job: Job, image: Image.Image, infotext: str, warn: Callable[[str], None]
) -> tuple[bytes, str]:
    """(file content, MIME type) in the job's format.

    What that format cannot hold (JPEG has room for 65,533 bytes of text, WebP for 16,383 pixels a side) is written as
    PNG, and `warn` is told: a picture is never lost for its format.
    """
    name = OutputSettings.parse(job.settings.get("outputs", {}), where="outputs").format
    format = host.registry("formats").find(name)
    if format is None:
        warn(f"There is no picture format {name!r} here; the picture is written as PNG.")
    else:
        where = section_of(format)
        options = format.options.parse(job.settings.get(where, {}), where=where) if format.options else None
        try:
            return format.encode.load()(image, infotext, options), format.mime
        except MetadataError as error:
            warn(f"{error} The picture is written as PNG.")
    return encode_image(image, format="PNG", infotext=infotext), "image/png"
