"""Reading a weight file's table of contents, without torch and without touching a weight.

Format: https://huggingface.co/docs/safetensors — eight bytes little-endian header length, a JSON header, then the data.
Every check here runs before anything of the size the file claims is allocated.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

from gesso.errors import BadFileError
from gesso.types import Header, TensorInfo

MAX_HEADER_BYTES = 100_000_000
MAX_DIMENSIONS = 16
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_PICKLE_MARKS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
PICKLE_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")


def read_header(path: Path) -> Header:
    """The header of a safetensors file; BadFileError says what is wrong with any other."""
    try:
        with path.open("rb") as file:
            return read_open_header(path, file)
    except IsADirectoryError:
        hint = "A model folder has a model_index.json, as diffusers writes it."
        raise BadFileError(f"{path} is a folder.", hint=hint) from None
    except OSError as error:
        raise BadFileError(f"Cannot read {path}: {error.strerror or error}.") from error


def read_open_header(path: Path, file: BinaryIO) -> Header:
    """As `read_header`, from a file that is open already (at its start); `path` is for messages."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    if size == 0:
        raise BadFileError(f"{path} is empty.", hint="Download it again.")
    if size < 10:
        raise _bad(path, f"it has {size} bytes, too few for a safetensors file")
    length = struct.unpack("<Q", start)[0]
    if 8 + length > size or length > MAX_HEADER_BYTES:
        # Only here: a header of 1,152 bytes begins like a pickle.
        _refuse_foreign(path, start)
        raise _bad(path, f"it claims a header of {length:,} bytes in a file of {size:,}; it is truncated or damaged")
    return _parse(path, file.read(length), size - 8 - length, 8 + length)


def _refuse_foreign(path: Path, start: bytes) -> None:
    if start.startswith(_PICKLE_MARKS) or path.suffix.lower() in PICKLE_SUFFIXES:
        raise refused_pickle(path)
    if start.startswith(b"GGUF"):
        raise BadFileError(f"{path} is a GGUF file.", hint="Install the plugin gesso-gguf to use it.")


def refused_pickle(path: Path) -> BadFileError:
    """The refusal of a pickle, with the way to convert it."""
    return BadFileError(
        f"{path} is a pickle, which can run any code when it is opened, so it is refused.",
        hint=(
            "Ask its author for a .safetensors file, or convert it in an environment you can throw away: "
            """python -c "import sys, torch, safetensors.torch as s; m = torch.load(sys.argv[1], weights_only=True); """
            """s.save_file({k: v.clone() for k, v in m.get('state_dict', m).items() if hasattr(v, 'shape')}, """
            f"""sys.argv[2])" '{path.name}' '{path.stem}.safetensors'"""
        ),
    )


def _parse(path: Path, text: bytes, data_size: int, data_start: int) -> Header:
    try:
        # Decoded here, since json.loads would take UTF-16 too; the format is UTF-8 without lone surrogates.
        raw = json.loads(text.decode("utf-8"), object_pairs_hook=lambda pairs: _unique(path, pairs))
        if not isinstance(raw, dict):
            raise _bad(path, "its header is not a JSON object")
        metadata = raw.pop("__metadata__", None)
        metadata = {} if metadata is None else metadata
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise _bad(path, "its metadata is not a JSON object of texts")
        "".join([*raw, *metadata, *metadata.values()]).encode("utf-8")
    except (ValueError, RecursionError):
        # A pickle of the oldest kind has no mark of its own.
        raise (
            refused_pickle(path) if path.suffix.lower() in PICKLE_SUFFIXES else _bad(path, "its header is not JSON")
        ) from None
    tensors = {name: _tensor(path, name, value, data_size, data_start) for name, value in raw.items()}
    _refuse_overlap(path, tensors)
    return Header(container="safetensors", tensors=tensors, metadata=metadata)


def _unique(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _bad(path, "a name stands twice in its header")
    return result


def _tensor(path: Path, name: str, value: Any, data_size: int, data_start: int) -> TensorInfo:
    if not isinstance(value, dict):
        raise _bad(path, f"the entry of {name[:80]!r} is not an object")
    kind, shape, offsets = value.get("dtype"), value.get("shape"), value.get("data_offsets")
    if not isinstance(kind, str) or kind not in _BITS:
        found = repr(kind[:40]) if isinstance(kind, str) else f"of type {type(kind).__name__}"
        raise _bad(path, f"{name[:80]!r} has the unknown data type {found}")
    if not _naturals(shape) or len(shape) > MAX_DIMENSIONS:
        raise _bad(path, f"{name[:80]!r} has an impossible shape")
    if not _naturals(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= data_size:
        raise _bad(path, f"{name[:80]!r} lies outside the file, which is truncated or damaged")
    count = 1
    for side in shape:
        count *= side
    if (count * _BITS[kind] + 7) // 8 != offsets[1] - offsets[0]:
        raise _bad(path, f"{name[:80]!r} has {offsets[1] - offsets[0]:,} bytes, which its shape does not fit")
    return TensorInfo.model_construct(
        format=kind, shape=tuple(shape), start=data_start + offsets[0], end=data_start + offsets[1]
    )


def _naturals(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 2**63 for v in value)


def _refuse_overlap(path: Path, tensors: dict[str, TensorInfo]) -> None:
    end = 0
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if info.start < end:
            raise _bad(path, f"{name[:80]!r} overlaps another tensor")
        end = max(end, info.end)


def _bad(path: Path, what: str) -> BadFileError:
    return BadFileError(f"{path} is not a usable safetensors file: {what}.", hint="Download it again.")
