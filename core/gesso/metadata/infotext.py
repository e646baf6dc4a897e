"""Infotext: the text block A1111 puts into every picture, written so that nothing in it can corrupt anything else.

Layout, reader rules and defaults are those of AUTOMATIC1111/stable-diffusion-webui v1.10.1. Reading has two levels:
`parse_infotext` says what was written, `a1111_parameters` what A1111 would make of it. docs/infotext.md describes both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gesso.metadata.errors import MetadataError

NEGATIVE = "Negative prompt:"
# Carriers of the exact texts, written only when a prompt looks so much like infotext that it would be split wrongly.
EXACT_PROMPT, EXACT_NEGATIVE = "Exact prompt", "Exact negative prompt"
MIN_PAIRS = 3  # with fewer pairs on the last line, every reader since A1111 takes that line for prompt text

_KEY = re.compile(r"\w[\w \-/]*[\w\-/]")
_NEEDS_QUOTES = re.compile(r'[,:"\x00-\x1f\x7f]')
# One step of the reader: a pair, or something to skip. Possessive repeats and whole skipped runs keep it linear: where
# a run of key characters does not end in a colon, no shorter piece of that run does.
_STEP = re.compile(
    r"""  (?P<key>\w[\w \-/]++) : \s*+ (?P<value> "(?:\\.|[^\\"])++"(?=,|$) | [^,]*+ ) (?:,|$)
        | (?P<run>\w[\w \-/]*+)
        | [ \-/]++
        | [^\w \-/]++ """,
    re.VERBOSE | re.DOTALL,
)
_JSON = json.JSONDecoder()


@dataclass(frozen=True)
class Infotext:
    """What an infotext says: both prompts and the parameters as written (all values text, in order of writing)."""

    prompt: str = ""
    negative_prompt: str = ""
    params: dict[str, str] = field(default_factory=dict)


def is_legal_key(key: str) -> bool:
    """Whether readers will find `key`: two or more of word characters, space, `-`, `/`; no reserved name."""
    return _KEY.fullmatch(key) is not None and key not in (EXACT_PROMPT, EXACT_NEGATIVE)


def legal_pairs(pairs: Mapping[Any, object], warn: Callable[[str], None]) -> dict[str, object]:
    """The pairs whose keys readers will find; `warn` is told of the others. For keys that come from plugins."""
    legal = {key: value for key, value in pairs.items() if isinstance(key, str) and is_legal_key(key)}
    if left := [repr(key)[:80] for key in pairs if key not in legal]:
        warn(f"{', '.join(left)} cannot be an infotext key and is left out of the picture.")
    return legal


def value_text(value: object) -> str:
    """How a parameter's value is written, before quoting: `str()`, but 7 for 7.0, as A1111's page sends it."""
    text = str(value)
    if isinstance(value, float):
        text = text.removesuffix(".0")
    return _encodable(text)


def clean_prompt(text: str) -> str:
    """A prompt as every reader gives it back: lines stripped, no blank lines around, no NUL, no lone surrogate."""
    text = _encodable(text).replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(line.strip() for line in text.split("\n")).strip()


def _encodable(text: str) -> str:
    """`text` with lone surrogates, which no file can hold, replaced by question marks."""
    return text.encode("utf-8", "replace").decode()


def format_infotext(prompt: str, negative_prompt: str, pairs: Mapping[str, object]) -> str:
    """Write an infotext in A1111's layout.

    `pairs` are written in their order; those whose value is None are left out. `parse_infotext` gives back
    `clean_prompt` of both prompts and `value_text` of every value, whatever they contain.

    Raises:
        MetadataError: a key that no reader would find (see `is_legal_key`).
    """
    prompt, negative_prompt = clean_prompt(prompt), clean_prompt(negative_prompt)
    written = {key: value_text(value) for key, value in pairs.items() if value is not None}
    for key in written:
        if not is_legal_key(key):
            raise MetadataError(
                f"{key!r} cannot be an infotext key.",
                hint="Use two or more letters, digits, spaces, '-' or '/', as in 'Hires upscale'.",
            )
    text = _layout(prompt, negative_prompt, written)
    back = parse_infotext(text)
    if (back.prompt, back.negative_prompt) != (prompt, negative_prompt):
        exact = {EXACT_PROMPT: prompt, EXACT_NEGATIVE: negative_prompt}
        text = _layout(prompt, negative_prompt, written | exact)
    return text


def _layout(prompt: str, negative_prompt: str, written: Mapping[str, str]) -> str:
    negative = f"{NEGATIVE} {negative_prompt}" if negative_prompt else ""
    # A1111 prints a pair whose key equals its value as the bare key, which does not count as a pair for its reader.
    bare = {key for key, value in written.items() if key == value}
    if len(written) - len(bare) < MIN_PAIRS:
        bare = set()
    items = [key if key in bare else f"{key}: {_quote(value)}" for key, value in written.items()]
    items += items[-1:] * (MIN_PAIRS - len(items))  # saying one thing twice is how two pairs become readable
    return "\n".join(part for part in (prompt, negative, ", ".join(items)) if part)


def _quote(value: str) -> str:
    if _NEEDS_QUOTES.search(value) or value != value.strip():
        return json.dumps(value, ensure_ascii=False)
    return value


def _unquote(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return _encodable(str(json.loads(value)))
        except ValueError:
            pass  # kept as it stands, as A1111 does
    return value


def parse_infotext(text: str, *, exact: bool = False) -> Infotext:
    """Read an infotext: what was written, no defaults.

    With `exact` the parameters are precisely the pairs A1111's own reader finds. Without it three things are understood
    besides: an unquoted JSON value (Civitai's `Hashes: {…}`, which A1111 cuts at the first comma), a bare key, and the
    exact prompts `format_infotext` adds when it must. Never fails: text that is no infotext is a prompt.
    """
    *lines, last = text.strip().split("\n")
    if sum(1 for _ in _pairs(last, exact=True)) < MIN_PAIRS:
        lines, last = [*lines, last], ""
    prompt: list[str] = []
    negative: list[str] = []
    target = prompt
    for line in map(str.strip, lines):
        if line.startswith(NEGATIVE):
            target = negative
            line = line.removeprefix(NEGATIVE).strip()
        if target or line:  # no blank lines in front
            target.append(line)
    params = dict(_pairs(last, exact=exact))
    info = Infotext("\n".join(prompt), "\n".join(negative), params)
    if exact or EXACT_PROMPT not in params:
        return info
    return Infotext(params.pop(EXACT_PROMPT), params.pop(EXACT_NEGATIVE, info.negative_prompt), params)


def _pairs(line: str, *, exact: bool) -> Iterator[tuple[str, str]]:
    at = 0
    while step := _STEP.match(line, at):
        at = step.end()
        if step["key"] is None:
            if not exact and step["run"] and _stands_alone(line, step.start(), at):
                yield step["run"], step["run"]
            continue
        value = step["value"]
        if not exact and value[:1] in ("{", "["):
            value, at = _json_value(line, step.start("value")) or (value, at)
        yield step["key"], _unquote(value)


def _stands_alone(line: str, start: int, end: int) -> bool:
    """Whether line[start:end] is a whole item of the list and a legal key: a bare key."""
    first = start == 0 or line[max(start - 2, 0) : start] == ", "
    return first and line[end : end + 1] in ("", ",") and is_legal_key(line[start:end])


def _json_value(line: str, start: int) -> tuple[str, int] | None:
    """An unquoted JSON object or array that is a whole value: its text and where the next item begins."""
    try:
        _, end = _JSON.raw_decode(line, start)
    except (ValueError, RecursionError):
        return None
    return (line[start:end], end + 1) if line[end : end + 1] in ("", ",") else None
