"""Which Stable Diffusion a header belongs to: 1.x, 2.x, XL, and their variants. Torch-free.

Single files have CompVis' and Stability's layouts (`model.diffusion_model.*`), model folders diffusers' (`unet.*`).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal, cast

from gesso import Header, Match

UNET = "model.diffusion_model."
UNET_FOLDER = "unet."
REFINER_CONTEXT = 1280
"""The refiner's text width: it has OpenCLIP-G alone, where the base has CLIP-L's 768 channels beside it."""
SD2_NORM = f"{UNET}output_blocks.11.1.transformer_blocks.0.norm1.bias"
"""What tells SD2's v models from its eps models when nothing else does; see `is_v_by_norm`."""
MARKERS = ("edm_vpred.sigma_max", "edm_vpred.sigma_min", "edm_mean", "edm_std", SD2_NORM)
_VARIANTS = {8: "ip2p", 9: "inpaint"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides: channels in, text width, label embedding width (0 = none), linear or convolutional projections."""

    channels: int
    context: int
    label: int
    linear: bool


def facts(header: Header) -> Facts | None:
    """The facts of a header with a UNet of the Stable Diffusion kind; None for any other."""
    for first, label in (
        (f"{UNET}input_blocks.0.0.weight", f"{UNET}label_emb.0.0.weight"),
        (f"{UNET_FOLDER}conv_in.weight", f"{UNET_FOLDER}add_embedding.linear_1.weight"),
    ):
        shape, labels = header.shape(first), header.shape(label)
        prefix = first[: len(UNET)] if first.startswith(UNET) else UNET_FOLDER
        projection = _first(header, prefix, ".proj_in.weight")
        context = _first(header, prefix, ".transformer_blocks.0.attn2.to_k.weight")
        if shape is not None and len(shape) == 4 and projection and context and len(context) == 2:
            return Facts(shape[1], context[1], labels[1] if labels and len(labels) == 2 else 0, len(projection) == 2)
    return None


def _first(header: Header, prefix: str, ending: str) -> tuple[int, ...] | None:
    return next((i.shape for n, i in header.tensors.items() if n.startswith(prefix) and n.endswith(ending)), None)


def detect_sd1(header: Header) -> list[Match]:
    """SD1: convolutional projections, no label embedding."""
    found = facts(header)
    if found is None or found.label or found.linear:
        return []
    variant = _VARIANTS.get(found.channels, "base")
    return [Match(family="sd1", variant=variant, confidence=0.9, **_prediction(header))]


def detect_sd2(header: Header) -> list[Match]:
    """SD2: linear projections, no label embedding. Whether it predicts v, shapes cannot tell."""
    found = facts(header)
    if found is None or found.label or not found.linear:
        return []
    variant = {5: "depth", **_VARIANTS}.get(found.channels, "base")
    stated = _stated_prediction(header)
    questions = () if stated else ("prediction",)
    return [Match(family="sd2", variant=variant, confidence=0.9, questions=questions, **_prediction(header))]


def detect_sdxl(header: Header) -> list[Match]:
    """SDXL: linear projections and a label embedding for pooled text and sizes; the refiner by its text width."""
    found = facts(header)
    if found is None or not found.label or not found.linear or not _has_sdxl_text(header):
        return []
    variant = "refiner" if _is_refiner(header, found) else _VARIANTS.get(found.channels, "base")
    return [Match(family="sdxl", variant=variant, confidence=0.9, **_prediction(header))]


def _has_sdxl_text(header: Header) -> bool:
    """A label embedding without SDXL's text encoders is another model (SD2 unCLIP, video)."""
    return any(
        header.has_prefix(prefix) for prefix in ("conditioner.embedders.", "text_encoder_2.", "text_encoders.clip_g.")
    )


def _is_refiner(header: Header, found: Facts) -> bool:
    return (
        found.context == REFINER_CONTEXT
        or header.has_prefix("conditioner.embedders.0.model.")
        or (header.container == "folder" and not header.has_prefix("text_encoder."))
    )


def _prediction(header: Header) -> dict[str, Any]:
    """Match fields: prediction, and details of the noise schedule by marker tensors and metadata."""
    details: dict[str, Any] = {}
    if "ztsnr" in header.tensors or _scheduler(header).get("rescale_betas_zero_snr") is True:
        details["ztsnr"] = True
    karras = str(_scheduler(header).get("_class_name", "")).startswith("EDM")
    if karras or ("edm_mean" in header.tensors and "edm_std" in header.tensors):
        details["edm"] = "playground"
    elif "edm_vpred.sigma_max" in header.tensors:
        details["edm"] = "v"
    return {"prediction": _stated_prediction(header) or "eps", "details": details}


def _stated_prediction(header: Header) -> Literal["eps", "v"] | None:
    """By marker tensor, modelspec metadata or a folder's scheduler; None when nothing says it."""
    if "v_pred" in header.tensors or "edm_vpred.sigma_max" in header.tensors:
        return "v"
    stated = header.metadata.get("modelspec.prediction_type") or _scheduler(header).get("prediction_type")
    known = {"v": "v", "v_prediction": "v", "v-prediction": "v", "epsilon": "eps", "eps": "eps"}
    return cast(Literal["eps", "v"] | None, known.get(str(stated)))


def _scheduler(header: Header) -> dict[str, Any]:
    text = header.metadata.get("config.scheduler", "{}") if header.container == "folder" else "{}"
    return cast(dict[str, Any], json.loads(text))


def is_v_by_norm(match: Match) -> bool:
    """Whether an SD2 file predicts v: its last norm's bias spreads wider than 0.09, as ComfyUI found."""
    values: tuple[float, ...] = match.details.get(SD2_NORM, ())
    if not values:
        return False
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) * (v - mean) for v in values) / max(1, len(values) - 1)) > 0.09
