"""Frames: how host and worker talk over two pipes. One JSON object and, behind it, raw bytes. Nothing is unpickled.

    magic "gsF1" · length of the JSON (4 bytes) · length of the raw part (8 bytes) · JSON · raw part

Lengths are big-endian and limited, so that a stray byte in the stream is an error at once and no demand for 16 EiB.
"""

from __future__ import annotations

import json
import struct
import threading
from typing import Any, BinaryIO, NamedTuple

from gesso.errors import GessoError

MAGIC = b"gsF1"
HEADER = struct.Struct(">4sIQ")
MAX_JSON = 32 << 20
MAX_RAW = 4 << 30


class FrameError(GessoError):
    """The stream holds something that is no frame; whoever reads it has to give the other side up."""


class Frame(NamedTuple):
    """One message: its kind, its fields, its raw part."""

    kind: str
    data: dict[str, Any]
    raw: bytes = b""


def pack(kind: str, data: dict[str, Any], raw_length: int = 0) -> bytes:
    """Header and JSON of a frame; the raw part follows. Values JSON does not know are written as their text."""
    text = json.dumps({**data, "frame": kind}, separators=(",", ":"), default=str).encode("ascii")
    if len(text) > MAX_JSON or raw_length > MAX_RAW:
        raise FrameError(f"A {kind!r} message of {len(text) + raw_length} bytes is too large to send.")
    return HEADER.pack(MAGIC, len(text), raw_length) + text


def read(stream: BinaryIO) -> Frame | None:
    """The next frame, None at the end of the stream. FrameError says what else was found."""
    head = stream.read(HEADER.size)
    if not head:
        return None
    if not head.startswith(MAGIC[: len(head)]):
        raise FrameError(f"Expected a frame, found {head!r}.")
    if len(head) < HEADER.size:
        raise FrameError("The stream ends within a frame's header.")
    _, json_length, raw_length = HEADER.unpack(head)
    if json_length > MAX_JSON or raw_length > MAX_RAW:
        raise FrameError(f"A frame announces {json_length} + {raw_length} bytes, more than is allowed.")
    text = _exactly(stream, json_length)
    try:
        data = json.loads(text)
        kind = data.pop("frame")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FrameError(f"A frame's JSON cannot be read ({type(error).__name__}): {text[:60]!r}.") from None
    if not isinstance(kind, str):
        raise FrameError(f"A frame's kind is {kind!r}, not a name.")
    return Frame(kind, data, _exactly(stream, raw_length))


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length) if length else b""
    if len(data) < length:
        raise FrameError(f"The stream ends after {len(data)} of {length} bytes of a frame.")
    return data


class Channel:
    """Frames over a pair of streams. Any thread may send, each frame whole; one thread receives."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._lock = threading.Lock()

    def send(self, kind: str, data: dict[str, Any] | None = None, raw: bytes = b"") -> None:
        """Send a frame; waits while the pipe is full. OSError or ValueError when the other side is gone."""
        head = pack(kind, data or {}, len(raw))
        with self._lock:
            self._outgoing.write(head)
            if raw:
                self._outgoing.write(raw)
            self._outgoing.flush()

    def receive(self) -> Frame | None:
        """The next frame, None when the other side has closed; FrameError for anything else."""
        return read(self._incoming)
