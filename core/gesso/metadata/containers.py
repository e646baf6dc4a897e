"""Find size, text and EXIF in PNG, JPEG, WebP, GIF and AVIF files without decoding a pixel.

Not Pillow, on purpose: its openers read text after a PNG's pixels only by decoding them, keep whole chunks of any
length, warn by a process-wide setting about sizes nobody will decode, and load every EXIF field (see exif.py). Here
every loop and every allocation has a bound.

Sources: PNG 3rd edition, ITU T.81 (JPEG), the WebP container specification, GIF89a.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from gesso.metadata.errors import MetadataError

MAX_TEXT = 16 * 2**20  # bytes of metadata in one file; ComfyUI workflows reach a few megabytes
MAX_PARTS = 2**20  # chunks, segments or blocks in one file


@dataclass
class Container:
    """What a picture file says besides its pixels. Sizes in pixels."""

    format: str
    width: int = 0
    height: int = 0
    text: dict[str, str] = field(default_factory=dict)
    comment: bytes | None = None
    exif: bytes | None = None


def read_container(fp: BinaryIO) -> Container:
    """Read a seekable file from its start.

    Raises:
        MetadataError: no picture of a known format, cut off before its size is known, or beyond a limit.
    """
    head = fp.read(16)
    for matches, read in _READERS:
        if matches(head):
            fp.seek(0)
            found = read(fp)
            if not (found.width and found.height):
                raise MetadataError(f"the {found.format} file is damaged or cut off: it states no picture size.")
            return found
    raise MetadataError("it is no PNG, JPEG, WebP, AVIF or GIF picture.")


def take(fp: BinaryIO, count: int) -> bytes:
    """Exactly `count` bytes, at most MAX_TEXT."""
    if count > MAX_TEXT:
        raise MetadataError(f"it holds {count:,} bytes of metadata in one piece; at most {MAX_TEXT:,} are read.")
    data = fp.read(count)
    if len(data) < count:
        raise MetadataError("the file is cut off inside its metadata.")
    return data


def _too_many_parts() -> MetadataError:
    return MetadataError(f"it is made of more than {MAX_PARTS:,} parts: no program writes such a file.")


# --- PNG --------------------------------------------------------------------------------------------------------------


def _read_png(fp: BinaryIO) -> Container:
    found = Container("PNG")
    fp.seek(8)
    budget = MAX_TEXT
    for _ in range(MAX_PARTS):
        header = fp.read(8)
        if len(header) < 8 or header[4:] == b"IEND":  # cut off among its pixels: what came before is still good
            return found
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        if not found.width and (kind != b"IHDR" or length != 13):
            raise MetadataError("the PNG file is damaged: its header is missing.")
        if kind == b"IHDR":
            found.width, found.height = struct.unpack_from(">II", take(fp, length))
        elif kind == b"eXIf":
            found.exif = take(fp, length)
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            key, _, rest = take(fp, length).partition(b"\0")
            value = _png_text(kind, rest, budget)
            budget -= len(value)
            found.text[key.decode("latin-1")] = _png_decode(kind, value)
        else:
            fp.seek(length, io.SEEK_CUR)
        fp.seek(4, io.SEEK_CUR)  # the checksum
    raise _too_many_parts()


def _png_text(kind: bytes, rest: bytes, budget: int) -> bytes:
    """The value of a text chunk whose keyword is already cut off, inflated if need be, at most `budget` bytes."""
    compressed = kind == b"zTXt"
    if kind == b"iTXt":
        compressed = rest[:1] == b"\1"
        _, _, rest = rest[2:].partition(b"\0")  # language
        _, _, rest = rest.partition(b"\0")  # translated keyword
    elif compressed:
        rest = rest[1:]  # method: there is only one
    value = inflate(rest, budget, zlib.MAX_WBITS) if compressed else rest
    if len(value) > budget:
        raise MetadataError(f"it holds more than {MAX_TEXT:,} bytes of text.")
    return value


def inflate(data: bytes, limit: int, wbits: int) -> bytes:
    """Decompress a whole zlib (or, by `wbits`, gzip) stream to at most `limit` bytes."""
    stream = zlib.decompressobj(wbits)
    try:
        value = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise MetadataError("its compressed text is damaged.") from error
    if len(value) > limit:
        raise MetadataError(f"its compressed text grows beyond {limit:,} bytes.")
    if not stream.eof:
        raise MetadataError("its compressed text is cut off.")
    return value


def _png_decode(kind: bytes, value: bytes) -> str:
    # tEXt is Latin-1 by the standard, but programs without a PNG library of their own write UTF-8 into it.
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("utf-8", "replace") if kind == b"iTXt" else value.decode("latin-1")


# --- JPEG -------------------------------------------------------------------------------------------------------------

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _read_jpeg(fp: BinaryIO) -> Container:
    found = Container("JPEG")
    fp.seek(2)
    for _ in range(MAX_PARTS):
        prefix, marker = fp.read(2).ljust(2, b"\0")
        if prefix != 0xFF or marker in (0xD9, 0xDA):  # damage, the end, or the pixels
            return found
        if marker == 0xFF:  # padding: the marker is still to come
            fp.seek(-1, io.SEEK_CUR)
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # these stand alone
            continue
        (length,) = struct.unpack(">H", take(fp, 2))
        if marker in _SOF:
            found.height, found.width = struct.unpack_from(">xHH", take(fp, max(length - 2, 5)))
        elif marker in (0xE1, 0xFE):
            data = take(fp, max(length - 2, 0))
            if marker == 0xFE:
                found.comment = data
            elif data.startswith(b"Exif\0\0") and found.exif is None:
                found.exif = data
        else:
            fp.seek(max(length - 2, 0), io.SEEK_CUR)
    raise _too_many_parts()


# --- WebP -------------------------------------------------------------------------------------------------------------


def _read_webp(fp: BinaryIO) -> Container:
    found = Container("WEBP")
    fp.seek(12)
    for _ in range(MAX_PARTS):
        header = fp.read(8)
        if len(header) < 8:
            return found
        kind, length = header[:4], int.from_bytes(header[4:], "little")
        end = fp.tell() + length + length % 2
        if kind == b"EXIF":
            found.exif = take(fp, length)
        elif kind in (b"VP8X", b"VP8 ", b"VP8L") and not found.width:
            found.width, found.height = _webp_size(kind, take(fp, min(length, 10)).ljust(10, b"\0"))
        fp.seek(end)
    raise _too_many_parts()


def _webp_size(kind: bytes, head: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", head, 6)
    return width & 0x3FFF, height & 0x3FFF


# --- GIF --------------------------------------------------------------------------------------------------------------


def _read_gif(fp: BinaryIO) -> Container:
    found = Container("GIF")
    found.width, found.height, flags = struct.unpack_from("<6xHHB2x", take(fp, 13))
    fp.seek(3 << (flags & 7) + 1 if flags & 0x80 else 0, io.SEEK_CUR)
    for _ in range(64):  # extensions before the first picture: programs write a handful
        if fp.read(1) != b"!":  # the first picture, the end, or no GIF any more: comments come before
            return found
        label = fp.read(1)
        data = _gif_blocks(fp)
        if label == b"\xfe":
            found.comment = (found.comment or b"") + data
            if len(found.comment) > MAX_TEXT:
                raise MetadataError(f"it holds more than {MAX_TEXT:,} bytes of text.")
    return found


def _gif_blocks(fp: BinaryIO) -> bytes:
    blocks: list[bytes] = []
    while count := take(fp, 1)[0]:
        blocks.append(take(fp, count))
        if len(blocks) > MAX_TEXT // 255:
            raise MetadataError(f"it holds more than {MAX_TEXT:,} bytes of text.")
    return b"".join(blocks)


def _read_avif(fp: BinaryIO) -> Container:
    from gesso.metadata.avif import read_avif  # the longest of the readers, and the rarest format

    width, height, exif = read_avif(fp)
    return Container("AVIF", width, height, exif=exif)


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO], Container]], ...] = (
    (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), _read_png),
    (lambda head: head.startswith(b"\xff\xd8\xff"), _read_jpeg),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", _read_webp),
    (lambda head: head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis"), _read_avif),
    (lambda head: head[:6] in (b"GIF87a", b"GIF89a"), _read_gif),
)
