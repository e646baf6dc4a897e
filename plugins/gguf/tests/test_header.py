"""Headers: read as gguf-py reads them; a damaged one is one sentence and takes no memory."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from gesso import BadFileError
from gesso_gguf.header import is_gguf, read_header

Write = Callable[..., Path]

MEGABYTES = 1 << 20


@pytest.fixture(scope="module")
def whole(write: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    tensors = {
        "a.weight": (rng.normal(size=(4, 64)).astype(np.float32), Kind.Q4_0),
        "a.bias": (rng.normal(size=4).astype(np.float32), Kind.F32),
        "conv.weight": (rng.normal(size=(8, 4, 3, 3)).astype(np.float32), Kind.Q8_0),
        "norm.weight": (rng.normal(size=(6,)).astype(np.float32), Kind.F16),
    }
    path = tmp_path_factory.mktemp("gguf") / "whole.gguf"
    return write(path, tensors, general__name="a name", tokenizer__ggml__tokens=["<pad>", "é"], numbers=[1, 2, 3])


def test_shapes_formats_and_entries(whole: Path) -> None:
    header = read_header(whole)
    assert header.container == "gguf"
    assert {n: (i.format, i.shape) for n, i in header.tensors.items()} == {
        "a.weight": ("Q4_0", (4, 64)), "a.bias": ("F32", (4,)), "conv.weight": ("Q8_0", (8, 4, 3, 3)),
        "norm.weight": ("F16", (6,)),
    }  # fmt: skip
    assert header.metadata["general.architecture"] == "test"
    assert header.metadata["general.name"] == "a name"
    assert header.metadata["tokenizer.ggml.tokens"] == '["<pad>", "\\u00e9"]'
    assert header.metadata["numbers"] == "[1, 2, 3]"


def mutated(data: bytes, end: int, rng: random.Random) -> bytes:
    """One of the things that happen to files, within the header of `end` bytes."""
    changed, way = bytearray(data), rng.randrange(5)
    if way == 0:
        return data[: rng.randrange(end)]
    if way == 1:
        for _ in range(rng.randrange(1, 9)):
            changed[rng.randrange(end)] = rng.randrange(256)
    elif way == 2:
        at = rng.randrange(end - 8)
        changed[at : at + 8] = struct.pack("<Q", rng.choice([2**64 - 1, 2**63, 2**40, 2**32, 10**9, 0]))
    elif way == 3:
        at = rng.randrange(end - 4)
        changed[at : at + 4] = struct.pack("<I", rng.choice([2**32 - 1, 2**31, 99, 8, 9, 0]))
    else:
        at = rng.randrange(end)
        changed[at:at] = rng.randbytes(rng.randrange(1, 40))
    return bytes(changed)


def test_five_hundred_damaged_headers(whole: Path, tmp_path: Path) -> None:
    data, rng, path = whole.read_bytes(), random.Random(4), tmp_path / "damaged.gguf"
    end = min(info.start for info in read_header(whole).tensors.values())
    said: Counter[str] = Counter()
    tracemalloc.start()
    try:
        for number in range(500):
            path.write_bytes(mutated(data, end, rng))
            tracemalloc.reset_peak()
            problem = ""
            try:
                read_header(path)
            except BadFileError as error:
                problem = str(error)
            said[problem.partition(":")[0]] += 1
            assert tracemalloc.get_traced_memory()[1] < 2 * MEGABYTES, number
    finally:
        tracemalloc.stop()
    assert set(said) == {"", f"{path} is not a usable GGUF file"}
    assert said[""] < 250


@pytest.mark.parametrize("start", [b"", b"GGUF", b"GGUF\0\0\0\3", b"GGUF" + bytes(40), b"nothing of the kind" * 4])
def test_what_is_no_gguf(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(start)
    assert is_gguf(path) == start.startswith(b"GGUF")
    with pytest.raises(BadFileError, match=r"x\.gguf is not a usable GGUF file"):
        read_header(path)


@pytest.mark.parametrize(("claim", "said"), [("tensors", "claims"), ("list", "list of"), ("text", "text of")])
def test_claims_are_checked_before_anything_is_made(tmp_path: Path, claim: str, said: str) -> None:
    entry = struct.pack("<Q", 1) + b"k"
    body = {
        "tensors": struct.pack("<QQ", 10**12, 0),
        "list": struct.pack("<QQ", 0, 1) + entry + struct.pack("<IIQ", 9, 4, 10**11),
        "text": struct.pack("<QQ", 0, 1) + entry + struct.pack("<IQ", 8, 10**15),
    }[claim]
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<I", 3) + body)
    tracemalloc.start()
    with pytest.raises(BadFileError, match=said):
        read_header(path)
    assert tracemalloc.get_traced_memory()[1] < MEGABYTES
    tracemalloc.stop()
