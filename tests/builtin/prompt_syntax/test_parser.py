"""The parser as a whole, and its limits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesso import InvalidInputError, Prompt, Segment
from gesso_builtin.prompt_syntax.attention import MAX_DEPTH, parse_attention
from gesso_builtin.prompt_syntax.composition import strip_comments
from gesso_builtin.prompt_syntax.parser import A1111Parser
from gesso_builtin.prompt_syntax.schedule import Clock, expand


def parse(text: str, steps: int = 10, **options: object) -> Prompt:
    return A1111Parser(Clock(steps), **options)(text)  # type: ignore[arg-type]


def test_a_prompt_becomes_parts_spans_and_segments() -> None:
    prompt = parse("a [cat:dog:0.5] AND (b:1.3):0.5")
    first, second = prompt.parts
    assert [(s.start, s.end, s.segments[0].text) for s in first.spans] == [(0.0, 0.5, "a cat"), (0.5, 1.0, "a dog")]
    assert second.weight == 0.5
    assert second.spans[0].segments == (Segment(" "), Segment("b", 1.3))
    assert prompt.text == "a [cat:dog:0.5] AND (b:1.3):0.5"


def test_the_negative_prompt_is_not_split() -> None:
    (only,) = parse("a AND b", composable=False).parts
    assert only.spans[0].segments == (Segment("a AND b"),)


def test_break_ends_a_chunk_inside_brackets_too() -> None:
    segments = parse("a BREAK (b BREAK c:1.3)").parts[0].spans[0].segments
    assert [(s.text, s.weight, s.break_after) for s in segments] == [
        ("a", 1.0, True), ("b", 1.3, True), ("c", 1.3, False)
    ]  # fmt: skip


def test_a_break_at_the_start_makes_an_empty_chunk() -> None:
    segments = parse("BREAK BREAK a").parts[0].spans[0].segments
    assert [(s.text, s.break_after) for s in segments] == [("", True), ("", True), ("a", False)]


def test_emphasis_none_takes_brackets_literally() -> None:
    assert parse("(a:1.3)", emphasis="None").parts[0].spans[0].segments == (Segment("(a:1.3)"),)


@pytest.mark.parametrize(
    ("text", "left"), [("a # b", "a \n"), ("# x\na", "\na"), ("a\n# x\nb", "a\nb"), ("a", "a"), ("#", "\n")]
)
def test_comments(text: str, left: str) -> None:
    assert strip_comments(text) == left


@pytest.mark.parametrize(("when", "until"), [("0.5", 5), ("3", 3), ("1.0", 1), ("1", 1)])
def test_old_timelines(when: str, until: int) -> None:
    assert expand(f"[a:b:{when}]", Clock(10, old=True))[0] == (until, "a")


def test_too_deep_is_one_clear_error() -> None:
    parse_attention("(" * MAX_DEPTH)
    with pytest.raises(InvalidInputError, match=f"nests over {MAX_DEPTH} brackets"):
        parse("(" * 2000 + "a" + ")" * 2000)


@pytest.mark.parametrize(
    "piece", ["a (b:1.2) [c:d:0.5] ", "[a|b]", "((((a", "]", "[a:b", "\\(", "word BREAK ", " AND "]
)
def test_forty_thousand_characters_are_parsed(piece: str) -> None:
    text = (piece * (40_000 // len(piece)))[: 40_000 - 1] if piece != "((((a" else "(a) " * 10_000
    if text.count("[") - text.count("]") > MAX_DEPTH:
        with pytest.raises(InvalidInputError):
            parse(text)
    else:
        assert parse(text).parts


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab ()[]:|\\0.5,BREAK AND#\n", max_size=60))
def test_any_text_is_parsed(text: str) -> None:
    prompt = parse(text)
    for part in prompt.parts:
        assert part.spans[0].start == 0.0
        assert part.spans[-1].end == 1.0
        assert all(a.end == b.start for a, b in zip(part.spans, part.spans[1:], strict=False))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abc ,.0123456789éß", max_size=60))
def test_plain_words_stay_as_they_are(text: str) -> None:
    (run,) = parse_attention(text)
    assert (run.text, run.weight) == (text, 1.0)
    assert expand(text, Clock(10)) == [(10, text)]
