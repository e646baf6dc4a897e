"""`a AND b:0.5`: a prompt as weighted sub-prompts, and comments taken out."""

from __future__ import annotations

import re

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"\s*([-+]?(?:\d+\.?|\d*\.\d+))")
_COMMENT = re.compile(r"#[^\n]*(?:\n|$)")
_COMMENT_LINE = re.compile(r"(?:^|\n)#[^\n]*(?:\n|$)")


def split_and(text: str) -> list[tuple[str, float]]:
    """[(sub-prompt, weight)]. A number behind the last colon is the weight, in a single prompt too, as in A1111."""
    return [_weighted(part) for part in _AND.split(text)]


def _weighted(text: str) -> tuple[str, float]:
    text = text.rstrip()
    head, colon, tail = text.rpartition(":")
    match = _WEIGHT.fullmatch(tail) if colon else None
    return (head.rstrip(), float(match[1])) if match else (text, 1.0)


def strip_comments(text: str) -> str:
    """The text without `# …`: whole lines, and the ends of lines."""
    return _COMMENT.sub("\n", _COMMENT_LINE.sub("\n", text)) if "#" in text else text
