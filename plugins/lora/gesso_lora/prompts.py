"""Prompts without the tags that name files."""

from __future__ import annotations

from dataclasses import replace

from gesso import Prompt, PromptParser, Segment, Span, SubPrompt

from .tags import TAG


class Tagless:
    """A parser that is given the prompt without its tags."""

    def __init__(self, parser: PromptParser | None) -> None:
        self._parser = parser or Prompt.plain

    def __call__(self, text: str) -> Prompt:
        return self._parser(TAG.sub("", text))


def tagless(prompt: Prompt) -> Prompt:
    """A prompt that was read with its tags, without them: for who counts its tokens."""

    def segment(old: Segment) -> Segment:
        return replace(old, text=TAG.sub("", old.text))

    def span(old: Span) -> Span:
        return replace(old, segments=tuple(map(segment, old.segments)))

    def part(old: SubPrompt) -> SubPrompt:
        return replace(old, spans=tuple(map(span, old.spans)))

    return replace(prompt, parts=tuple(map(part, prompt.parts)))
