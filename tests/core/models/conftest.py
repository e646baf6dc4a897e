"""Safetensors files made by hand, good and bad."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]


def packed(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A file's bytes: header (an object or raw bytes) behind its length, then the data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(header: Any, data: bytes = b"", length: int | None = None, name: str = "m.safetensors") -> Path:
        path = tmp_path / name
        path.write_bytes(packed(header, data, length))
        return path

    return written


@pytest.fixture
def names(tmp_path: Path) -> Callable[..., Path]:
    """A file with tensors of these names and one number each."""

    def written(*tensors: str, file: str = "m.safetensors") -> Path:
        header = {n: {"dtype": "F16", "shape": [1], "data_offsets": [2 * i, 2 * i + 2]} for i, n in enumerate(tensors)}
        path = tmp_path / file
        path.write_bytes(packed(header, bytes(2 * len(tensors))))
        return path

    return written


@pytest.fixture
def as_nobody() -> Callable[[], AbstractContextManager[None]]:
    """A context in which this process has no rights beyond anybody's, also when root runs the tests."""

    @contextmanager
    def dropped() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return dropped
