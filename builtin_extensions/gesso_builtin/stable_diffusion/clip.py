"""CLIP's text encoders: build, chunks to context, weights applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from gesso import Component, Prompt, Span

from .tokenizer import END, START, Chunk, chunks


def build(config: dict[str, Any]) -> torch.nn.Module:
    """The text transformer on meta, its constant position ids real; under "text_model" when it has a projection."""
    known = {key: value for key, value in config.items() if key not in ("projected", "layer")}
    shape = CLIPTextConfig(**known, bos_token_id=START, eos_token_id=END, attn_implementation="sdpa")
    with torch.device("meta"):
        model = CLIPTextModelWithProjection(shape) if config.get("projected") else CLIPTextModel(shape)
    module: torch.nn.Module = model if config.get("projected") else getattr(model, "text_model", model)
    positions = torch.arange(config["max_position_embeddings"]).unsqueeze(0)
    _tower(module).embeddings.register_buffer("position_ids", positions, persistent=False)
    return module


def _tower(module: torch.nn.Module) -> Any:
    return getattr(module, "text_model", module)


def encode_l(
    component: Component, prompts: Sequence[tuple[Prompt, Span]], options: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """CLIP-L: prompts' spans → {"context": (B, 77·chunks, D)}, and with the option "pooled" the first chunk's end token
    as "pooled" (B,D).

    options: "clip_skip" (n takes the n-th layer from the end, 1 = last), "final_norm" (False leaves the state as the
    layer left it, as SDXL wants it; the default applies the final norm, as SD1 and A1111 do).
    """
    context, pooled = _encode(component, prompts, options, int(options.get("clip_skip", 1)), END)
    return {"context": context, "pooled": pooled} if options.get("pooled") else {"context": context}


def encode_g(
    component: Component, prompts: Sequence[tuple[Prompt, Span]], options: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """OpenCLIP-G: the last layer but one as "context", the projected end token of the first chunk as "pooled" (B,P)."""
    context, pooled = _encode(component, prompts, {"final_norm": False}, 2, 0)
    return {"context": context, "pooled": pooled}


def encode_h(
    component: Component, prompts: Sequence[tuple[Prompt, Span]], options: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """OpenCLIP-H: the last layer but one, with the final norm. Clip skip does nothing, as in A1111."""
    return {"context": _encode(component, prompts, {}, component.config["layer"], 0)[0]}


@torch.inference_mode()
def _encode(
    component: Component, prompts: Sequence[tuple[Prompt, Span]], options: Mapping[str, Any], skip: int, pad: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(context (B, 77·chunks, D), pooled (B,P)). Prompts with fewer chunks are filled with empty ones."""
    cut = [chunks(span.segments, pad) for _, span in prompts]
    longest = max(len(c) for c in cut)
    empty = chunks((), pad)[0]
    rows = [c + [empty] * (longest - len(c)) for c in cut]
    flat = [chunk for row in rows for chunk in row]
    hidden, pooled = states(component, flat, skip=skip, norm=bool(options.get("final_norm", True)))
    emphasis = [prompt.emphasis for prompt, _ in prompts for _ in range(longest)]
    for n, (chunk, mode) in enumerate(zip(flat, emphasis, strict=True)):
        hidden[n] = weighted(hidden[n], chunk, mode)
    return hidden.reshape(len(rows), -1, hidden.shape[-1]), pooled[::longest]


def states(component: Component, flat: Sequence[Chunk], *, skip: int, norm: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """((N,77,D) states of the `skip`-th layer from the end, (N,P) pooled state, projected where it can be)."""
    ids = torch.tensor([chunk.ids for chunk in flat], device=component.device)
    module: Any = component.module
    out = module(input_ids=ids, output_hidden_states=True)
    pooled = out.text_embeds if component.config.get("projected") else out.pooler_output
    if skip <= 1 and norm:
        return out.last_hidden_state.clone(), pooled
    state = out.hidden_states[-min(max(skip, 1), len(out.hidden_states) - 1)]
    return (_tower(module).final_layer_norm(state) if norm else state.clone()), pooled


def weighted(state: torch.Tensor, chunk: Chunk, emphasis: str) -> torch.Tensor:
    """Multiply each token's state (77,D) by its weight; "Original" keeps the chunk's mean as it was."""
    if emphasis in ("Ignore", "None") or all(w == 1.0 for w in chunk.weights):
        return state
    scaled = state * torch.tensor(chunk.weights, dtype=state.dtype, device=state.device).unsqueeze(-1)
    if emphasis == "No norm":
        return scaled
    return scaled * (state.mean() / scaled.mean())
