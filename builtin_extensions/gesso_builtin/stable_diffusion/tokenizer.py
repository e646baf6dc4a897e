"""CLIP's byte-pair tokenizer from the shipped vocabulary, and prompts cut into chunks of 75. Torch-free.

Vocabulary and rules: Radford et al. 2021, https://github.com/openai/CLIP.
"""

from __future__ import annotations

import functools
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from gesso import Segment

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START, END = 49406, 49407
COMMA = 267
CHUNK = 75
BACKTRACK = 20
"""How many tokens before a full chunk a comma may stand for the words behind it to move on together (as A1111)."""
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


@functools.cache
def tokenizer() -> Tokenizer:
    """The tokenizer, built once per process (about 0.2 s)."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokens, merges = vocabulary()
    made = Tokenizer(models.BPE(vocab=tokens, merges=merges, end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    return made


def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """(token → id, merges in order)."""
    path = resources.files(__package__) / "data" / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[1 : 49152 - 256 - 2 + 1]
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    letters = _byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters), *(a + b for a, b in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}, merges


def _byte_letters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in CLIP's order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + n) for n in range(len(others))]


@dataclass(frozen=True, slots=True)
class Chunk:
    """77 token ids with a weight each: start, 75 of the prompt, end; short ones filled with `pad`."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]


def chunks(segments: Sequence[Segment], pad: int = END) -> list[Chunk]:
    """A prompt's segments as chunks; at least one. A break, a full chunk and the comma rule end a chunk."""
    done: list[list[tuple[int, float]]] = []
    current: list[tuple[int, float]] = []
    last_comma = -1
    for segment in segments:
        for token in tokenizer().encode(segment.text, add_special_tokens=False).ids:
            if len(current) == CHUNK:
                keep = last_comma + 1 if last_comma >= 0 and CHUNK - (last_comma + 1) <= BACKTRACK else CHUNK
                done.append(current[:keep])
                current, last_comma = current[keep:], -1
            if token == COMMA:
                last_comma = len(current)
            current.append((token, segment.weight))
        if segment.break_after:
            done.append(current)
            current, last_comma = [], -1
    if current or not done:
        done.append(current)
    return [_framed(tokens, pad) for tokens in done]


def _framed(tokens: list[tuple[int, float]], pad: int) -> Chunk:
    missing = CHUNK - len(tokens)
    # CLIP's own padding repeats the end token; OpenCLIP's (pad 0) has one end token, then zeros.
    tail = [END] + [pad] * missing
    return Chunk(
        (START, *(token for token, _ in tokens), *tail),
        (1.0, *(weight for _, weight in tokens), *([1.0] * (missing + 1))),
    )


def count_tokens(text: str) -> int:
    """Tokens of a plain text, without start and end."""
    return len(tokenizer().encode(text, add_special_tokens=False).ids)
