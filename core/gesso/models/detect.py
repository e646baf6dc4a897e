"""Which family a header belongs to, and what it is when none claims it. Torch-free."""

from __future__ import annotations

import logging
import re
from typing import Any, Protocol

from gesso.errors import BadFileError
from gesso.types import Header, Match

_log = logging.getLogger(__name__)


class Hooks(Protocol):
    """The part of the plugin host that models need."""

    def choose(self, hook: str, /, **kwargs: Any) -> Any: ...
    def registry(self, name: str) -> Any: ...


CHECKPOINT, VAE = "a checkpoint", "a VAE"
_MARKS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (
            "a LoRA",
            r"\.(lora_down|lora_up|lora_A|lora_B|lora\.down|lora\.up)\.|\.(hada_w1_a|lokr_w1|oft_blocks)|^lora_unet",
        ),
        ("a ControlNet", r"^(control_model\.|controlnet_)|(^|\.)(controlnet_cond_embedding|input_hint_block)\."),
        ("a T2I-Adapter or IP-Adapter", r"^(adapter\.body|ip_adapter|image_proj)\."),
        (CHECKPOINT, r"^(model\.)?diffusion_model\.|^cond_stage_model\."),
        ("a UNet without text encoder and VAE", r"^(input_blocks\.0\.0|conv_in|time_embedding\.linear_1)\.weight$"),
        ("a textual inversion", r"^(emb_params|string_to_param|clip_[lg]|<.*>)$"),
        ("an upscaler", r"^(params_ema\.)?(model\.0|body\.0\.rdb1|conv_first|layers\.0\.residual_group)\."),
        (
            "a text encoder",
            r"(^|\.)(text_model\.encoder\.layers|encoder\.block\.0\.layer\.0|transformer\.resblocks)\.|^token_embd",
        ),
        (VAE, r"^(first_stage_model\.|vae\.)?(encoder|decoder)\.(conv_in|up_blocks|down_blocks|up|down|mid)\."),
    )
)


def describe(header: Header) -> str:
    """ "a checkpoint", "a LoRA", "a VAE", … or "of an unknown kind (N tensors, such as …)"."""
    for kind, mark in _MARKS:
        if any(mark.search(name) for name in header.tensors):
            return kind
    if not header.tensors:
        return "empty (no tensors)"
    first = next(iter(header.tensors))
    return f"of an unknown kind ({len(header.tensors)} tensors, such as {first[:60]!r})"


def detect(header: Header, hooks: Hooks, path: str = "") -> Match:
    """The family of a header: every family is asked, `gesso_choose_family` may decide, else the most confident."""
    candidates: list[Match] = []
    for family in hooks.registry("families"):
        try:
            candidates.extend(family.detect.load()(header))
        except Exception:
            # A family that stumbles over a strange header claims it no more than one that knows it is not its own.
            _log.warning("The family %s failed on the header of %s", family.name, path, exc_info=True)
    if not candidates:
        found = describe(header)
        unknown = " of a model family that no plugin here knows" if found == CHECKPOINT else ""
        raise BadFileError(f"{path or 'The file'} is {found}{unknown}, not a checkpoint gesso can load.")
    candidates.sort(key=lambda match: -match.confidence)
    chosen = hooks.choose("gesso_choose_family", header=header, candidates=candidates)
    return chosen or candidates[0]
