"""Prompts without the tags that name files."""

from __future__ import annotations

from gesso import Prompt, PromptParser

from .tags import TAG


class Tagless:
    """A parser that is given the prompt without its tags."""

    def __init__(self, parser: PromptParser | None) -> None:
        self._parser = parser or Prompt.plain

    def __call__(self, text: str) -> Prompt:
        return self._parser(TAG.sub("", text))
