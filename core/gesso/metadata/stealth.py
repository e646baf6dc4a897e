"""Infotext hidden in the lowest bits of the pixels ("stealth PNG info": an A1111 extension, Forge, NovelAI).

Column by column, one bit per alpha value (or three per RGB pixel), most significant first: a 15-byte signature, the
payload's length in bits as 32-bit integer, the payload, gzipped where the signature says `comp`.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from gesso.metadata.containers import MAX_TEXT, inflate
from gesso.metadata.errors import MetadataError

if TYPE_CHECKING:
    from PIL import Image

_SIGNATURES = {
    "A": (b"stealth_pnginfo", b"stealth_pngcomp"),
    "RGB": (b"stealth_rgbinfo", b"stealth_rgbcomp"),
}
_LOWEST_BIT = bytes(b"01"[value & 1] for value in range(256))  # byte -> its lowest bit as a digit


def read_stealth(image: Image.Image) -> str | None:
    """The text hidden in `image`, or None. Decodes the pixels.

    Raises:
        MetadataError: a signature is there, but what follows is damaged or beyond the limit.
    """
    from PIL.Image import Transpose

    columns = image.transpose(Transpose.TRANSPOSE)
    planes = {"RGB": columns.convert("RGB")}
    if "A" in image.getbands():
        planes = {"A": columns.getchannel("A")} | planes
    for name, plane in planes.items():
        bits = plane.tobytes()
        plain, compressed = _SIGNATURES[name]
        signature = _bytes_at(bits, 0, 15)
        if signature not in (plain, compressed):
            continue
        length = int.from_bytes(_bytes_at(bits, 15, 4), "big") // 8
        payload = _bytes_at(bits, 19, length)
        if length > MAX_TEXT or len(payload) < length:
            raise MetadataError("the text hidden in its pixels is damaged: its length cannot be right.")
        if signature == compressed:
            payload = inflate(payload, MAX_TEXT, zlib.MAX_WBITS | 16)
        return payload.decode("utf-8", "replace")
    return None


def _bytes_at(values: bytes, start: int, count: int) -> bytes:
    """`count` bytes from byte `start` of the stream made of the lowest bits of `values`; fewer at the end."""
    digits = values[8 * start : 8 * (start + count)].translate(_LOWEST_BIT)
    whole = len(digits) // 8
    return int(digits[: 8 * whole], 2).to_bytes(whole, "big") if whole else b""
