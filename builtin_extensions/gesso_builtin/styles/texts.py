"""Putting a style's text into a prompt, and finding it there again: A1111's rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PLACE = "{prompt}"


@dataclass(frozen=True)
class Style:
    """Texts for both prompts; `{prompt}` stands for what a person wrote, without it the text comes after."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""
    file: Path | None = None


def applied(style: str, prompt: str) -> str:
    """The prompt with a style's text."""
    if PLACE in style:
        return style.replace(PLACE, prompt)
    return ", ".join(part for part in (prompt.strip(), style.strip()) if part)


def extracted(styles: list[Style], prompt: str, negative: str) -> tuple[list[str], str, str]:
    """(names in the order they were applied in, both prompts without their texts).

    The last one applied is found first. A style counts only when putting it back gives the very same prompts, so that
    the picture stays what it was; A1111 also takes some whose commas or spaces would then differ.
    """
    found: list[str] = []
    left = [style for style in styles if style.prompt or style.negative_prompt]
    while True:
        for style in left:
            inner = _without(style.prompt, prompt), _without(style.negative_prompt, negative)
            if inner[0] is not None and inner[1] is not None:
                prompt, negative = inner[0], inner[1]
                found.insert(0, style.name)
                left.remove(style)
                break
        else:
            return found, prompt, negative


def _without(style: str, prompt: str) -> str | None:
    """The prompt without a style's text; None when it is not there."""
    text, whole = style.strip(), prompt.strip()
    if PLACE in text:
        before, _, after = text.partition(PLACE)
        fits = len(whole) >= len(before) + len(after) and whole.startswith(before) and whole.endswith(after)
        inner = whole[len(before) : len(whole) - len(after)]
    else:
        fits = whole.endswith(text)
        inner = whole[: len(whole) - len(text)].removesuffix(", ") if text else whole
    return inner if fits and applied(style, inner).strip() == whole else None
