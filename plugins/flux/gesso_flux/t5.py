"""T5's encoder: build, prompts to states (Raffel et al. 2019, arXiv:1910.10683)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from transformers import T5Config, T5EncoderModel
from transformers.models.t5.modeling_t5 import T5DenseGatedActDense

from gesso import Component, Prompt, Span

from .tokenizer import tokenizer_of

LENGTH = 512


def build(config: dict[str, Any]) -> torch.nn.Module:
    """The encoder's stack on meta, with the token table its own."""
    with torch.device("meta"):
        model: Any = T5EncoderModel(T5Config(**config, tie_word_embeddings=False, dropout_rate=0.0))
    stack: torch.nn.Module = model.encoder
    for layer in stack.modules():
        if type(layer) is T5DenseGatedActDense:
            layer.__class__ = _Gated
    return stack


class _Gated(T5DenseGatedActDense):  # type: ignore[misc]
    """transformers' own asks for the weight of `wo` three times a call, which is decoded each time where it is held."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = self.wo(self.act(self.wi_0(hidden_states)) * self.wi_1(hidden_states))
        return product


@torch.inference_mode()
def encode(
    component: Component, prompts: Sequence[tuple[Prompt, Span]], options: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """Prompts' spans → {"context": (B,S,D)}, S being the option "t5_tokens". What is longer is cut off.

    Padding is attended to, as Flux.1 was trained. Weights multiply the states of their tokens; "Original" keeps their
    mean.
    """
    length = int(options.get("t5_tokens") or LENGTH)
    rows = [_tokens(component, span, length) for _, span in prompts]
    module: Any = component.module
    ids = torch.tensor([ids for ids, _ in rows], device=component.device)
    states: torch.Tensor = module(input_ids=ids).last_hidden_state.clone()
    for n, ((_, weights), (prompt, _)) in enumerate(zip(rows, prompts, strict=True)):
        states[n] = _weighted(states[n], weights, prompt.emphasis)
    return {"context": states}


def _tokens(component: Component, span: Span, length: int) -> tuple[list[int], list[float]]:
    """(ids, weights) of exactly so many tokens: the span's, the end, padding."""
    tokenizer = tokenizer_of(component)
    found = [
        (token, segment.weight)
        for segment in span.segments
        for token in tokenizer.encode(segment.text, add_special_tokens=False).ids
    ][: length - 1]
    # `tokenizer_of` has seen to it that both are there.
    end, pad = cast(int, tokenizer.token_to_id("</s>")), cast(int, tokenizer.token_to_id("<pad>"))
    missing = length - 1 - len(found)
    return [*(t for t, _ in found), end, *[pad] * missing], [*(w for _, w in found), *[1.0] * (missing + 1)]


def _weighted(states: torch.Tensor, weights: list[float], emphasis: str) -> torch.Tensor:
    if emphasis in ("Ignore", "None") or all(weight == 1.0 for weight in weights):
        return states
    scaled = states * torch.tensor(weights, dtype=states.dtype, device=states.device)[:, None]
    return scaled if emphasis == "No norm" else scaled * (states.mean() / scaled.mean())
