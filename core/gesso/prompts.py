"""A parsed prompt: what a prompt parser returns and text encoders take. Torch-free.

A prompt is sub-prompts joined by AND, each with a weight; a sub-prompt is a line of spans, each holding for a part of
the run; a span is segments of text with a weight, possibly broken into chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Emphasis = Literal["Original", "No norm", "Ignore", "None"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of text with one weight; `break_after` ends the encoder's chunk behind it."""

    text: str
    weight: float = 1.0
    break_after: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """The segments that hold for the fraction [start, end) of the run."""

    segments: tuple[Segment, ...]
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, slots=True)
class SubPrompt:
    """One of the prompts joined by AND."""

    spans: tuple[Span, ...]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """A parsed prompt and the text it came from."""

    text: str
    parts: tuple[SubPrompt, ...]
    emphasis: Emphasis = "Original"

    @classmethod
    def plain(cls, text: str) -> Prompt:
        """The text as it stands: one part, one span, weight 1."""
        return cls(text, (SubPrompt((Span((Segment(text),)),)),))


PromptParser = Callable[[str], Prompt]


def lined_up(prompts: Sequence[Prompt]) -> list[tuple[float, tuple[float, float], list[tuple[Prompt, Span]]]]:
    """(weight, steps, each prompt with its span) for every sub-prompt and span of the first prompt.

    The prompts of a batch agree in structure.
    """
    return [
        (part.weight, (span.start, span.end), [(p, p.parts[number].spans[index]) for p in prompts])
        for number, part in enumerate(prompts[0].parts)
        for index, span in enumerate(part.spans)
    ]
