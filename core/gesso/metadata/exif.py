"""The few EXIF fields that carry infotext, and nothing else.

Not Pillow: it writes UserComment as BYTE, which the reader in A1111 and Forge (piexif) does not take for text; and it
loads every field of a block, and fields may overlap, so that a hostile block of one megabyte grows to gigabytes.

Layout: TIFF 6.0 section 2, EXIF 2.32 section 4.6.5 (UserComment).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

from gesso.metadata.errors import MetadataError

DESCRIPTION, MAKE, MODEL, EXIF_IFD, USER_COMMENT = 0x010E, 0x010F, 0x0110, 0x8769, 0x9286
_WANTED = (DESCRIPTION, MAKE, MODEL, USER_COMMENT)
_ASCII, _LONG, _UNDEFINED = 2, 4, 7
_BYTE_TYPES = (1, _ASCII, 6, _UNDEFINED)  # BYTE and SBYTE as some programs write them


def build_exif(infotext: str | None, extra: Mapping[str, str]) -> bytes:
    """An EXIF block: the infotext as UserComment (`UNICODE`, UTF-16BE, as A1111), `extra` as JSON description."""
    if not infotext and not extra:
        return b""
    main = [(DESCRIPTION, _ASCII, json.dumps(dict(extra)).encode() + b"\0")] if extra else []
    exif = b""
    if infotext:
        after = 8 + len(_directory([*main, (EXIF_IFD, _LONG, bytes(4))], 8))
        main.append((EXIF_IFD, _LONG, struct.pack(">I", after)))
        comment = b"UNICODE\0" + infotext.encode("utf-16-be", "replace")
        exif = _directory([(USER_COMMENT, _UNDEFINED, comment)], after)
    return b"Exif\0\0MM\0*" + struct.pack(">I", 8) + _directory(main, 8) + exif


def _directory(fields: list[tuple[int, int, bytes]], at: int) -> bytes:
    """A directory that will stand at offset `at`, long values behind it."""
    table, values = struct.pack(">H", len(fields)), b""
    end = at + 2 + 12 * len(fields) + 4
    for tag, kind, value in fields:
        count = len(value) // (4 if kind == _LONG else 1)
        if len(value) > 4:
            place = struct.pack(">I", end + len(values))
            values += value + b"\0" * (len(value) % 2)  # values begin at even offsets
        else:
            place = value.ljust(4, b"\0")
        table += struct.pack(">HHI", tag, kind, count) + place
    return table + bytes(4) + values


def read_tags(block: bytes) -> dict[int, bytes]:
    """The byte-valued fields of `block` among description, make, model and UserComment.

    Raises:
        MetadataError: the block contradicts itself.
    """
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        raise MetadataError("its EXIF block is damaged (no TIFF header).")
    try:
        (first,) = struct.unpack_from(order + "I", block, 4)
        tags, exif_ifd = _read_ifd(block, first, order)
        if exif_ifd:
            tags |= _read_ifd(block, exif_ifd, order)[0]
    except struct.error as error:
        raise MetadataError("its EXIF block is damaged (a field points outside it).") from error
    return tags


def _read_ifd(block: bytes, at: int, order: str) -> tuple[dict[int, bytes], int]:
    """The wanted fields of one directory, and where the EXIF directory is (0: nowhere)."""
    tags: dict[int, bytes] = {}
    exif_ifd = 0
    (count,) = struct.unpack_from(order + "H", block, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, length, value = struct.unpack_from(order + "HHII", block, entry)
        if tag == EXIF_IFD:
            exif_ifd = value
        elif tag in _WANTED and kind in _BYTE_TYPES:
            start = entry + 8 if length <= 4 else value
            (tags[tag],) = struct.unpack_from(f"{length}s", block, start)
    return tags, exif_ifd


def ascii_text(value: bytes) -> str:
    """An ASCII field; UTF-8, which many programs write there, is understood."""
    return value.rstrip(b"\0").decode("utf-8", "replace")


def user_comment_text(value: bytes) -> str:
    """The text of a UserComment, whichever of its encodings a program chose."""
    prefix, body = value[:8], value[8:]
    if prefix == b"UNICODE\0":
        if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return body.decode("utf-16", "ignore")
        # The standard leaves the byte order open, programs differ; infotext has ASCII, so the reading with more wins.
        big, little = body.decode("utf-16-be", "ignore"), body.decode("utf-16-le", "ignore")
        return max(big, little, key=lambda text: sum(" " <= c <= "~" for c in text)).rstrip("\0")
    if prefix in (b"ASCII\0\0\0", b"JIS\0\0\0\0\0", b"\0" * 8):
        encoding = "iso2022_jp" if prefix.startswith(b"JIS") else "utf-8"
        return body.decode(encoding, "ignore").rstrip("\0")
    return value.decode("utf-8", "ignore").rstrip("\0")
