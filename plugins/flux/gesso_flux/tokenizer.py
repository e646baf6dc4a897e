"""T5's tokenizer: from the text encoder's own file, from beside it, or from the Hugging Face hub. Imports no torch.

It is a unigram model (Kudo 2018, arXiv:1804.10959), published as `tokenizer.json` and as SentencePiece's
`spiece.model`, a protobuf message (https://github.com/google/sentencepiece, `sentencepiece_model.proto`).
"""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gesso import BadFileError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from gesso import Component, WeightReader

REPOSITORY = "google/t5-v1_1-xxl"
NAMES = ("tokenizer.json", "spiece.model")
FOLDERS = ("", "t5_tokenizer", "tokenizer_2", "tokenizer")
"""Where they are looked for below the folder of the text encoder, or below a model folder."""
METADATA = ("tokenizer.json", "gesso.tokenizer.t5xxl")
"""Keys of a file's metadata that may hold the text of a tokenizer.json."""
TENSORS = ("spiece_model", "text_encoders.t5xxl.transformer.spiece_model", "text_encoders.t5xxl.spiece_model")
MOST_BYTES = 50_000_000


def tokenizer_of(component: Component) -> Tokenizer:
    """The tokenizer of a loaded text encoder. BadFileError says where to put one when there is none."""
    reader = next(iter(component.weights.sources.values())).reader
    if reader not in _KEPT:
        path = Path(getattr(reader, "path", "."))
        made = _from_file(reader, str(path))
        if made is None:
            found = beside(path)
            made = _opened(found) if found is not None else _from_hub(path)
        if any(made.token_to_id(token) is None for token in ("</s>", "<pad>")):
            raise BadFileError(f"The tokenizer of {path} is none of T5: it lacks </s> or <pad>.")
        _KEPT[reader] = made
    return _KEPT[reader]


_KEPT: WeakKeyDictionary[WeightReader, Tokenizer] = WeakKeyDictionary()
"""One each for the models in memory."""


def count_tokens(text: str) -> int:
    """Tokens of a plain text by the tokenizer the hub's cache holds; 0 where it holds none: CLIP's count is shown."""
    found = _cached()
    return 0 if found is None else len(_opened(found).encode(text, add_special_tokens=False).ids)


# --- where it may be ----------------------------------------------------------------------------------------------


def _from_file(reader: WeightReader, key: str) -> Tokenizer | None:
    """From metadata (JSON, or the lists of a GGUF file) or a tensor of the text encoder's own file."""
    metadata, tensors = reader.header.metadata, reader.header.tensors
    text = next((metadata[name] for name in METADATA if name in metadata), None)
    held = next((name for name in TENSORS if name in tensors), None)
    if text is not None:
        return from_json(text, f"the metadata of {key}")
    if "tokenizer.ggml.tokens" in metadata and "tokenizer.ggml.scores" in metadata:
        return _from_gguf(metadata, key)
    if held is not None:
        return from_sentencepiece(bytes(reader.read(held).data.flatten().tolist()), f"{held} in {key}")
    return None


def beside(path: Path) -> Path | None:
    """A tokenizer in a model folder, or beside a text encoder: NAME.tokenizer.json, tokenizer.json or spiece.model."""
    folder = path if path.is_dir() else path.parent
    named = [] if path.is_dir() else [path.with_suffix(f".{name}") for name in NAMES]
    places = ("tokenizer_2",) if path.is_dir() else FOLDERS
    return next((p for p in [*named, *(folder / f / name for f in places for name in NAMES)] if p.is_file()), None)


def _cached() -> Path | None:
    """In the hub's cache, without asking the hub."""
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(REPOSITORY, name) for name in NAMES)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def _from_hub(path: Path) -> Tokenizer:
    found = _cached()
    if found is None:
        from huggingface_hub import hf_hub_download

        try:
            found = Path(hf_hub_download(REPOSITORY, "spiece.model"))
        except Exception as error:
            folder = path / "tokenizer_2" if path.is_dir() else path.parent
            raise BadFileError(
                f"T5 needs its tokenizer, which is not in {path.name} nor beside it, and the Hugging Face hub does "
                f"not give it ({type(error).__name__}: {str(error).splitlines()[0][:200]}).",
                hint=f"Put tokenizer.json or spiece.model of {REPOSITORY} into {folder}; any T5 v1.1's is the same.",
            ) from None
    return _opened(found)


@functools.lru_cache(maxsize=8)
def _opened(path: Path) -> Tokenizer:
    if path.stat().st_size > MOST_BYTES:
        raise BadFileError(f"{path} is too large for a tokenizer.")
    data = path.read_bytes()
    if path.suffix == ".json":
        return from_json(data.decode("utf-8", "replace"), str(path))
    return from_sentencepiece(data, str(path))


# --- what it may be -----------------------------------------------------------------------------------------------


def from_json(text: str, where: str) -> Tokenizer:
    """From the text of a tokenizer.json."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exceptions
        raise BadFileError(f"{where} is no tokenizer.json: {error}.", hint="Download it again.") from None


def _from_gguf(metadata: dict[str, str], key: str) -> Tokenizer:
    try:
        tokens, scores = (json.loads(metadata[f"tokenizer.ggml.{name}"]) for name in ("tokens", "scores"))
        charsmap = bytes(json.loads(metadata.get("tokenizer.ggml.precompiled_charsmap", "[]")))
        unknown = int(metadata.get("tokenizer.ggml.unknown_token_id", 2))
        return unigram(list(zip(tokens, scores, strict=True)), unknown, charsmap)
    except Exception as error:  # the library raises bare Exceptions
        raise BadFileError(f"The tokenizer in {key} is damaged ({error}).", hint="Download it again.") from None


def from_sentencepiece(data: bytes, where: str) -> Tokenizer:
    """From a spiece.model."""
    pieces: list[tuple[str, float]] = []
    unknown, charsmap = 2, b""
    try:
        for field, value in _message(data):
            if field == 1:  # pieces: text 1, score 2, type 3 (2 = unknown)
                piece = dict(_message(value))
                if piece.get(3) == 2:
                    unknown = len(pieces)
                pieces.append((piece[1].decode("utf-8"), struct.unpack("<f", piece[2])[0]))
            elif field == 3:  # the normaliser: precompiled_charsmap 2
                charsmap = dict(_message(value)).get(2, b"")
        return unigram(pieces, unknown, charsmap)
    except Exception as error:
        raise BadFileError(f"{where} is no SentencePiece model ({error}).", hint="Download it again.") from None


def unigram(pieces: list[tuple[str, float]], unknown: int, charsmap: bytes) -> Tokenizer:
    """The tokenizer of these pieces with their scores, normalised as SentencePiece does."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    made = Tokenizer(models.Unigram(pieces, unk_id=unknown))
    first = normalizers.Precompiled(charsmap) if charsmap else normalizers.NFKC()
    made.normalizer = normalizers.Sequence(
        [first, normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(r"\s{2,}"), " ")]
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    made.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    known = {piece for piece, _ in pieces}
    made.add_special_tokens([AddedToken(t, special=True) for t in ("<pad>", "</s>", "<unk>") if t in known])
    return made


def _message(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value) of a protobuf message: ints for varints, bytes for the rest."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if at + size > len(data):
            raise ValueError("it is cut off")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("it is cut off")
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
