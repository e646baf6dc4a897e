"""A GGUF file's table of contents. Torch-free; nothing is allocated that the file does not fill.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import json
import mmap
import struct
from pathlib import Path
from typing import Any, BinaryIO

from gesso import BadFileError, Header, TensorInfo

MAGIC = b"GGUF"
MAX_HEADER = 256_000_000
"""Bytes; the largest tokenizers take a few million."""
MAX_ITEMS = 4_000_000
"""Entries of one array."""
MAX_TENSORS, MAX_DIMENSIONS, MAX_NAME = 1_000_000, 4, 65_536
ORIGINAL_SHAPE = "comfy.gguf.orig_shape."
"""Where converters note the shape of a tensor they had to flatten."""
TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""Number in the file → name, values in a block, bytes of a block."""
UNREAD = ("Q8_1", "Q8_K", "Q1_0")
"""Formats of intermediate results, or that gguf-py itself does not decode."""
FORMATS = tuple(name for name, values, _ in TYPES.values() if values > 1 and name not in UNREAD)
"""The block formats the operator reads."""
SIZES = {name: (values, size) for name, values, size in TYPES.values()}
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


def is_gguf(path: Path) -> bool:
    """Whether the file begins as GGUF files do."""
    try:
        with path.open("rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False


def read_header(path: Path) -> Header:
    """The header of a GGUF file. BadFileError says what is wrong with any other."""
    try:
        with path.open("rb") as file:
            return read_open_header(path, file)
    except OSError as error:
        raise BadFileError(f"Cannot read {path}: {error.strerror or error}.") from error


def read_open_header(path: Path, file: BinaryIO) -> Header:
    """As `read_header`, from an open file."""
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return _Parser(path, mapped).header()
    except ValueError:
        raise _bad(path, "it is empty") from None


class _Parser:
    """Walks through the mapped file; every step checks that what it wants is there."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at, self.end = path, data, 0, min(len(data), MAX_HEADER)

    def header(self) -> Header:
        if self.data[:4] != MAGIC:
            raise _bad(self.path, "it does not begin as one")
        self.at = 4
        version = self.scalar("I")
        if version not in (2, 3):
            swapped = "; it is for big-endian machines" if version & 0xFFFF == 0 and version else ""
            raise _bad(self.path, f"its version is {version}, not 2 or 3{swapped}")
        tensors, entries = self.scalar("Q"), self.scalar("Q")
        if tensors > MAX_TENSORS or entries > MAX_TENSORS:
            raise _bad(self.path, f"it claims {tensors:,} tensors and {entries:,} entries")
        metadata: dict[str, Any] = {}
        for _ in range(entries):
            name = self.string(MAX_NAME)
            if name in metadata:
                raise _bad(self.path, f"the entry {name[:80]!r} stands twice in it")
            metadata[name] = self.value(self.scalar("I"))
        raw = [self.tensor() for _ in range(tensors)]
        infos = self.placed(raw, metadata)
        shapes = {name: value for name, value in metadata.items() if name.startswith(ORIGINAL_SHAPE)}
        for name, shape in shapes.items():
            self.reshape(infos, name.removeprefix(ORIGINAL_SHAPE), shape)
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}
        return Header(container="gguf", tensors=infos, metadata=texts)

    def take(self, size: int) -> int:
        """Where the next `size` bytes begin."""
        start = self.at
        if size > self.end - start:
            raise _bad(self.path, "it is truncated or damaged")
        self.at += size
        return start

    def scalar(self, kind: str) -> Any:
        return struct.unpack_from(f"<{kind}", self.data, self.take(struct.calcsize(f"<{kind}")))[0]

    def string(self, most: int) -> str:
        length = self.scalar("Q")
        if length > most:
            raise _bad(self.path, f"it claims a text of {length:,} bytes")
        start = self.take(length)
        try:
            return self.data[start : start + length].decode("utf-8", errors="replace" if most > MAX_NAME else "strict")
        except UnicodeDecodeError:
            raise _bad(self.path, "a name in it is no text") from None

    def value(self, kind: int, *, nested: bool = False) -> Any:
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind == _STRING:
            return self.string(MAX_HEADER)
        if kind != _ARRAY or nested:
            raise _bad(self.path, f"an entry is of the unknown kind {kind}")
        inner, count = self.scalar("I"), self.scalar("Q")
        if count > MAX_ITEMS:
            raise _bad(self.path, f"it claims a list of {count:,} entries")
        if inner in _SCALARS:
            size = struct.calcsize(f"<{_SCALARS[inner]}")
            return list(struct.unpack_from(f"<{count}{_SCALARS[inner]}", self.data, self.take(size * count)))
        return [self.value(inner, nested=True) for _ in range(count)]

    def tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        """(name, shape, type, offset). The file names the innermost side first."""
        name = self.string(MAX_NAME)
        dimensions = self.scalar("I")
        if dimensions > MAX_DIMENSIONS:
            raise _bad(self.path, f"{name[:80]!r} has {dimensions:,} dimensions")
        sides = tuple(self.scalar("Q") for _ in range(dimensions))
        return name, sides[::-1], self.scalar("I"), self.scalar("Q")

    def placed(
        self, raw: list[tuple[str, tuple[int, ...], int, int]], metadata: dict[str, Any]
    ) -> dict[str, TensorInfo]:
        """Every tensor's byte range, checked against the file and the others."""
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise _bad(self.path, f"its alignment is {str(alignment)[:40]}")
        base, infos, last = -(-self.at // alignment) * alignment, {}, 0
        for name, shape, kind, offset in sorted(raw, key=lambda item: item[3]):
            if kind not in TYPES:
                raise _bad(self.path, f"{name[:80]!r} is of the unknown type {kind}")
            stored, values, size = TYPES[kind]
            count = 1
            for side in shape:
                count *= side
            row = shape[-1] if shape else 1
            if row % values:
                raise _bad(self.path, f"{name[:80]!r} has rows of {row:,}, which {stored} cannot hold")
            start, end = base + offset, base + offset + count // values * size
            if end > len(self.data) or offset % alignment:
                raise _bad(self.path, f"{name[:80]!r} lies outside the file, which is truncated or damaged")
            if name in infos or (start < last and end > start):
                raise _bad(self.path, f"{name[:80]!r} stands twice in it or overlaps another tensor")
            infos[name] = TensorInfo.model_construct(format=stored, shape=shape, start=start, end=end)
            last = max(last, end)
        return {name: infos[name] for name, *_ in raw}

    def reshape(self, infos: dict[str, TensorInfo], name: str, shape: Any) -> None:
        info = infos.get(name)
        sides = shape if isinstance(shape, list) and all(type(side) is int and side > 0 for side in shape) else []
        counts = []
        for each in (sides, info.shape if info else ()):
            count = 1
            for side in each:
                count *= side
            counts.append(count)
        if info is None or not 0 < len(sides) <= 8 or counts[0] != counts[1]:
            raise _bad(self.path, f"it gives {name[:80]!r} a shape that does not fit")
        infos[name] = info.model_copy(update={"shape": tuple(sides)})


def _bad(path: Path, what: str) -> BadFileError:
    return BadFileError(f"{path} is not a usable GGUF file: {what}.", hint="Download it again.")
