"""A1111's prompt language as gesso's Prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gesso import Prompt, Segment, Span, SubPrompt

from .attention import parse_attention
from .composition import split_and, strip_comments
from .schedule import Clock, expand

Emphasis = Literal["Original", "No norm", "Ignore", "None"]


@dataclass(frozen=True, slots=True)
class A1111Parser:
    """Comments out, AND apart (in the positive prompt), schedules expanded, weights read."""

    clock: Clock
    composable: bool = True
    emphasis: Emphasis = "Original"

    def __call__(self, text: str) -> Prompt:
        plain = strip_comments(text)
        parts = split_and(plain) if self.composable else [(plain, 1.0)]
        return Prompt(text, tuple(SubPrompt(self.spans(part), weight) for part, weight in parts), self.emphasis)

    def spans(self, text: str) -> tuple[Span, ...]:
        """One span for each text the schedule gives."""
        spans, start = [], 0
        for end, piece in expand(text, self.clock):
            spans.append(Span(self.segments(piece), start / self.clock.steps, end / self.clock.steps))
            start = end
        return tuple(spans)

    def segments(self, text: str) -> tuple[Segment, ...]:
        """Weighted segments; BREAK ends a chunk wherever it stands, inside brackets too."""
        if self.emphasis == "None":
            return (Segment(text),)
        segments: list[Segment] = []
        for run in parse_attention(text):
            if run.is_break:
                # A break with nothing before it makes an empty chunk.
                last = segments.pop() if segments and not segments[-1].break_after else Segment("")
                segments.append(Segment(last.text, last.weight, break_after=True))
            elif run.text:
                segments.append(Segment(run.text, run.weight))
        return tuple(segments)
