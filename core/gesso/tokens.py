"""How many tokens a prompt has for a model's text encoders, as a person types it. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gesso.prompts import Prompt, Span

if TYPE_CHECKING:
    from gesso.families import TextEncoder
    from gesso.service import Service


@dataclass(frozen=True, slots=True)
class TokenCount:
    """`tokens` with what a BREAK fills up, and the `limit` at which the encoder begins another chunk."""

    tokens: int
    limit: int


def count_tokens(
    service: Service, prompt: str, *, model: str = "", role: str = "positive", steps: int = 20
) -> TokenCount:
    """The tokens of the longest text that any encoder of the model reads for `prompt` in `steps` steps.

    `role` is "positive" or "negative". Weights and schedules do not count, only the words they are about.
    UnknownNameError: there is no such model. InvalidInputError: the prompt cannot be read.
    """
    entry = service.library.find(model)
    family = service.host.registry("families").get(entry.family)
    read = service.host.choose("gesso_choose_prompt_reading", prompt=prompt, role=role, steps=steps)
    spans = [span for part in (read or Prompt.plain(prompt)).parts for span in part.spans]
    found = [TokenCount(0, 75)]
    for use in family.text:
        if entry.variant not in use.unless:
            encoder: TextEncoder = service.host.registry("text_encoders").get(use.encoder)
            found += [_counted(encoder, span) for span in spans]
    return max(found, key=lambda count: (count.tokens, -count.limit))


def _counted(encoder: TextEncoder, span: Span) -> TokenCount:
    count, total = encoder.count_tokens.load(), 0
    for segment in span.segments:
        total += count(segment.text) if segment.text else 0
        if segment.break_after:
            total = max(1, -(-total // encoder.chunk)) * encoder.chunk
    return TokenCount(total, max(1, -(-total // encoder.chunk)) * encoder.chunk)
