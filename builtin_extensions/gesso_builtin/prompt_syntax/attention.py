"""`(word:1.2)`, `[word]` and their kin: a text as runs with a weight each. A1111's rules, in linear time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gesso import InvalidInputError

MAX_DEPTH = 250
"""Open brackets at one time. Deeper nesting has no use (1.1²⁵⁰ is 2·10¹⁰) and would make parsing slow."""
ROUND, SQUARE = 1.1, 1 / 1.1
_TOKEN = re.compile(r"\\[()\[\]\\]|\\|[(\[]|:\s*[+-]?[.\d]+\s*\)|[)\]]|[^\\()\[\]:]+|:", re.DOTALL)
_BREAK = re.compile(r"\s*\bBREAK\b\s*")


@dataclass(slots=True)
class Run:
    """A piece of text with its weight; `is_break` marks the word BREAK, whose weight means nothing."""

    text: str
    weight: float = 1.0
    is_break: bool = False


def parse_attention(text: str) -> list[Run]:
    """The runs of a text, neighbours of one weight joined; at least one.

    `(x)` is ×1.1, `[x]` ÷1.1, `(x:n)` ×n; weights multiply over everything inside; a bracket that is not closed acts to
    the end, one that was not opened is text; a backslash takes a bracket literally. InvalidInputError beyond MAX_DEPTH.
    """
    runs: list[Run] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for token in _TOKEN.findall(text):
        if token in opened:
            opened[token].append(len(runs))
            if len(opened["("]) + len(opened["["]) > MAX_DEPTH:
                raise InvalidInputError(f"The prompt nests over {MAX_DEPTH} brackets.", hint="Use (text:1.5) instead.")
        elif token == "]" and opened["["]:
            _multiply(runs, opened["["].pop(), SQUARE)
        elif token[-1] == ")" and token[0] != "\\" and opened["("] and (weight := _weight(token)) is not None:
            _multiply(runs, opened["("].pop(), weight)
        else:
            runs.extend(_text_runs(token))
    for start in opened["("]:
        _multiply(runs, start, ROUND)
    for start in opened["["]:
        _multiply(runs, start, SQUARE)
    return list(_joined(runs)) or [Run("")]


def _weight(token: str) -> float | None:
    """1.1 for ")", n for ":n)"; None when n is no number (such as 1.2.3), which makes the token text."""
    if token == ")":
        return ROUND
    try:
        return float(token[1:-1])
    except ValueError:
        return None


def _multiply(runs: list[Run], start: int, factor: float) -> None:
    for run in runs[start:]:
        run.weight *= factor


def _text_runs(token: str) -> Iterator[Run]:
    """Plain text, escapes taken, the word BREAK apart."""
    if token[0] == "\\":
        yield Run(token[1:])
        return
    for number, part in enumerate(_BREAK.split(token)):
        if number:
            yield Run("BREAK", -1.0, is_break=True)
        yield Run(part)


def _joined(runs: list[Run]) -> Iterator[Run]:
    """Neighbours of the same weight as one."""
    last: Run | None = None
    for run in runs:
        if last is not None and last.weight == run.weight and not run.is_break and not last.is_break:
            last.text += run.text
        else:
            if last is not None:
                yield last
            last = run
    if last is not None:
        yield last
