"""T5's tokenizer, wherever it is found."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gesso import BadFileError, Header, TensorInfo
from gesso_flux.tokenizer import REPOSITORY, beside, from_sentencepiece, tokenizer_of

TEXTS = ["a red circle on a blue background", "two  green stars left of a yellow ring ", "ugly, blurry pictures"]


def field(number: int, data: bytes) -> bytes:
    size = bytearray()
    left = len(data)
    while left > 127:
        size.append(left & 127 | 128)
        left >>= 7
    return bytes([number << 3 | 2, *size, left]) + data


@pytest.fixture
def pieces(tiny: Any) -> list[tuple[str, float]]:
    return [(p, s) for p, s in json.loads(tiny("dev").tokenizer.to_str())["model"]["vocab"]]


@pytest.fixture
def spiece(pieces: list[tuple[str, float]]) -> bytes:
    """As SentencePiece writes it."""
    kinds = {"<unk>": 2, "<pad>": 3, "</s>": 3}
    return b"".join(
        field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + bytes([0x18, kinds.get(text, 1)]))
        for text, score in pieces
    )


def component(path: Path, *, data: bytes = b"", **metadata: str) -> Any:
    """What `tokenizer_of` looks at: the reader of the first weight."""
    info = {"spiece_model": TensorInfo(format="U8", shape=(len(data),), start=0, end=len(data))} if data else {}

    class Reader:
        header = Header(container="safetensors", tensors=info, metadata=metadata)

        def read(self, name: str) -> Any:
            return SimpleNamespace(data=torch.frombuffer(bytearray(data), dtype=torch.uint8))

    reader = Reader()
    reader.path = path  # type: ignore[attr-defined]
    return SimpleNamespace(weights=SimpleNamespace(sources={"x": SimpleNamespace(reader=reader)}))


def ids(tokenizer: Any) -> list[list[int]]:
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS[::2]]


def test_from_everywhere_it_is_the_same(tiny: Any, pieces: Any, spiece: bytes, tmp_path: Path) -> None:
    own = tiny("dev").tokenizer
    want, text = ids(own), own.to_str()
    file = tmp_path / "t5.safetensors"
    lists = {
        "tokenizer.ggml.tokens": json.dumps([p for p, _ in pieces]),
        "tokenizer.ggml.scores": json.dumps([s for _, s in pieces]),
    }
    assert ids(tokenizer_of(component(file, **{"tokenizer.json": text}))) == want
    assert ids(tokenizer_of(component(tmp_path / "t5.gguf", **lists))) == want
    assert ids(tokenizer_of(component(tmp_path / "held.safetensors", data=spiece))) == want
    (tmp_path / "spiece.model").write_bytes(spiece)
    assert ids(tokenizer_of(component(file))) == want
    (tmp_path / "t5.tokenizer.json").write_text(text, encoding="utf-8")
    assert beside(file) == tmp_path / "t5.tokenizer.json"
    assert ids(tokenizer_of(component(file))) == want


def test_spaces_are_one_as_sentencepiece_has_them(spiece: bytes) -> None:
    made = from_sentencepiece(spiece, "test")
    once = made.encode("two green stars", add_special_tokens=False).ids
    assert made.encode("two  green   stars ", add_special_tokens=False).ids == once


def test_without_one_and_without_the_hub_it_is_said_where_to_put_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BadFileError, match="T5 needs its tokenizer") as raised:
        tokenizer_of(component(tmp_path / "lonely.safetensors"))
    assert REPOSITORY in str(raised.value)
    assert str(tmp_path) in str(raised.value)


@pytest.mark.parametrize("cut", [1, 7, 30, 200])
def test_a_damaged_one_is_refused(spiece: bytes, cut: int) -> None:
    with pytest.raises(BadFileError, match="SentencePiece"):
        from_sentencepiece(spiece[:-cut] + b"\xff" * 3, "x")
