"""Size and EXIF of an AVIF file: its boxes walked as far as they are needed, no codec involved.

Source: ISO/IEC 14496-12 section 8.11 (meta, iloc, iinf), ISO/IEC 23008-12 (ispe, the Exif item).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

from gesso.metadata.containers import MAX_TEXT, take
from gesso.metadata.errors import MetadataError

_MAX_BOXES = 4096


def read_avif(fp: BinaryIO) -> tuple[int, int, bytes | None]:
    """Width and height in pixels and the EXIF block, if any.

    Raises:
        MetadataError: damaged, cut off, or beyond a limit.
    """
    try:
        meta = _find_meta(fp)
        boxes = dict(_boxes(meta[4:]))
        width, height = _largest_size(boxes.get(b"iprp", b""))
        item = _exif_item(boxes.get(b"iinf", b""))
        extents = _extents(boxes.get(b"iloc", b""), item) if item is not None else []
        exif = _join(fp, extents)
    except (struct.error, IndexError) as error:
        raise MetadataError("the AVIF file is damaged or cut off.") from error
    # The item starts with the distance from here to the TIFF header.
    return width, height, exif[4 + int.from_bytes(exif[:4], "big") :] or None


def _find_meta(fp: BinaryIO) -> bytes:
    for _ in range(_MAX_BOXES):
        header = fp.read(8)
        if len(header) < 8:
            break
        size, kind = struct.unpack(">I4s", header)
        used = 8
        if size == 1:
            (size,) = struct.unpack(">Q", take(fp, 8))
            used = 16
        if kind == b"meta":
            return take(fp, max(size - used, 0))
        if size < used:  # 0 is "to the end of the file": nothing follows; anything else is damage
            break
        fp.seek(size - used, io.SEEK_CUR)
    raise MetadataError("the AVIF file is damaged or cut off: it has no meta box.")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > len(data):
            raise MetadataError("the AVIF file is damaged: a box is larger than what holds it.")
        yield kind, data[at + 8 : at + size]
        at += size


def _largest_size(properties: bytes) -> tuple[int, int]:
    """The picture's size: a thumbnail or the tiles of a grid state theirs too, and are smaller."""
    container = dict(_boxes(properties)).get(b"ipco", b"")
    sizes = [struct.unpack_from(">4xII", body) for kind, body in _boxes(container) if kind == b"ispe"]
    return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))


def _exif_item(infos: bytes) -> int | None:
    if not infos:
        return None
    for kind, body in _boxes(infos[6 if infos[0] == 0 else 8 :]):
        id_size = {2: 2, 3: 4}.get(body[0])
        if kind == b"infe" and id_size and body[6 + id_size : 10 + id_size] == b"Exif":
            return int.from_bytes(body[4 : 4 + id_size], "big")
    return None


def _extents(locations: bytes, wanted: int) -> list[tuple[int, int]]:
    """Offset in the file and length of each piece of item `wanted`."""
    fields = _Fields(locations)
    version = fields.take(1)
    fields.take(3)
    sizes = fields.take(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 4 if version == 2 else 2
    for _ in range(min(fields.take(wide), _MAX_BOXES)):
        item = fields.take(wide)
        method = fields.take(2) & 15 if version else 0
        fields.take(2)
        base = fields.take(base_size)
        pieces = []
        for _ in range(fields.take(2)):
            if version:
                fields.take(index_size)
            pieces.append((base + fields.take(offset_size), fields.take(length_size)))
        if item == wanted and method == 0:
            return pieces
    return []


class _Fields:
    """Big-endian numbers read one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> int:
        end = self._at + size
        if end > len(self._data):
            raise IndexError("past the end")
        value = int.from_bytes(self._data[self._at : end], "big")
        self._at = end
        return value


def _join(fp: BinaryIO, extents: list[tuple[int, int]]) -> bytes:
    if sum(length for _, length in extents) > MAX_TEXT:
        raise MetadataError(f"it holds more than {MAX_TEXT:,} bytes of metadata.")
    end = fp.seek(0, io.SEEK_END)
    pieces = []
    for offset, length in extents:
        if offset + length > end:
            raise MetadataError("the AVIF file is cut off.")
        fp.seek(offset)
        pieces.append(take(fp, length))
    return b"".join(pieces)
