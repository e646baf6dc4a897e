"""A job as infotext pairs, and pairs as a request. The keys and their order are A1111's. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gesso
from gesso.errors import GessoError
from gesso.names import split_sampler_name
from gesso.types import CoreParams, Job

if TYPE_CHECKING:
    from gesso.plugins.host import Host

SLOTS = {"sampler": "samplers", "scheduler": "schedulers", "guider": "guiders"}
"""Request params that belong to a chosen contribution: their record is its `options`."""


ORDER = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Distilled CFG Scale", "Image CFG scale", "Seed",
    "Face restoration", "Size", "Model hash", "Model", "FP8 weight", "VAE hash", "VAE", "Variation seed",
    "Variation seed strength", "Seed resize from", "Denoising strength", "Conditional mask weight", "Clip skip", "ENSD",
    "Token merging ratio", "Token merging ratio hr", "Init image hash", "RNG", "Tiling",
)  # fmt: skip
"""The keys A1111 writes before those of features, in its order."""
LAST = ("Version", "User")


def ordered_pairs(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """The pairs in A1111's order: its own keys, those of features as they stand, the version."""
    first = [key for key in ORDER if key in pairs]
    last = [key for key in LAST if key in pairs]
    features = [key for key in pairs if key not in ORDER and key not in LAST]
    return {key: pairs[key] for key in (*first, *features, *last)}


def job_pairs(host: Host, job: Job, *, seed: int) -> dict[str, Any]:
    """Everything that made the picture with this seed, in writing order."""
    request = job.request
    sampler = host.registry("samplers").get(request.sampler)
    pairs: dict[str, Any] = {
        "Steps": request.steps,
        "Sampler": sampler.label,
        "Schedule type": effective_scheduler(host, request.sampler, request.scheduler).label,
        "CFG scale": _plain(request.cfg_scale),
        "Seed": seed,
        "Size": f"{request.width}x{request.height}",
        "RNG": "CPU",  # where the engine draws its noise unless a feature says otherwise; A1111 assumes the GPU
    }
    if job.model is not None:
        pairs["Model hash"] = job.model.hash[:10] or None
        name = Path(job.model.name).stem if Path(job.model.name).is_absolute() else job.model.name
        pairs["Model"] = name.rpartition("/")[2].removesuffix(" (built in)")
    for name, record in records(host, request).items():
        if name in request.params:
            pairs |= record.parse(request.params[name], where=name).to_infotext()
    pairs["Version"] = f"gesso {gesso.__version__}"
    return ordered_pairs(pairs)


def effective_scheduler(host: Host, sampler: str, scheduler: str) -> Any:
    """The scheduler that runs: "automatic" is the sampler's own, and stays "automatic" where that is the plain one."""
    chosen = host.registry("schedulers").get(scheduler)
    own = host.registry("samplers").get(sampler).default_scheduler
    return host.registry("schedulers").get(own) if chosen.name == "automatic" and own != "uniform" else chosen


def records(host: Host, request: CoreParams) -> dict[str, Any]:
    """Every parameter record that applies: features' own, and the options of the chosen sampler, scheduler, guider."""
    found = {record.name: record.params for record in host.registry("params")}
    for slot, registry in SLOTS.items():
        item = host.registry(registry).find(getattr(request, slot) or "")
        if item is not None and item.options is not None:
            found[slot] = item.options
    return found


def request_fields(
    host: Host, prompt: str, negative_prompt: str, pairs: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """(request fields, pairs nobody understands) from a text's prompts and pairs."""
    pairs = as_a1111(pairs)
    fields: dict[str, Any] = {"prompt": prompt, "negative_prompt": negative_prompt}
    understood = {*CoreParams.infotext_keys(), "Size", "Model", "Model hash", "Version"}
    fields |= CoreParams.from_infotext(pairs)
    if pairs.get("RNG") == "CPU":
        understood.add("RNG")
    width, _, height = pairs.get("Size", "").partition("x")
    if width.isdecimal() and height.isdecimal():
        fields |= {"width": int(width), "height": int(height)}
    name, short = pairs.get("Model", ""), pairs.get("Model hash", "")
    if model := f"{name} [{short}]" if name and short else name or short:
        fields["model"] = model
    fields |= _names(host, pairs)
    params: dict[str, dict[str, Any]] = {}
    for name, record in records(host, CoreParams.model_construct(**fields)).items():
        if values := record.from_infotext(pairs):
            params[name] = values
            understood |= {*record.infotext_keys(), *record.shared_names()}
    understood |= {key for record in host.registry("params") for key in record.tells}
    fields["params"] = params
    return fields, {key: value for key, value in pairs.items() if key not in understood}


def as_a1111(pairs: Mapping[str, str]) -> dict[str, str]:
    """The pairs as A1111 would mean them, from programs that mean something else by them."""
    known = dict(pairs)
    if known.get("Sampler") == "Undefined":
        # Civitai's own pictures of Flux: the scale is the distilled one, and the CLIP skip says nothing.
        known |= {"Sampler": "Euler", "Schedule type": "Simple"}
        known.pop("Clip skip", None)
        if scale := known.get("CFG scale"):
            known |= {"Distilled CFG Scale": scale, "CFG scale": "1"}
    return known


def _names(host: Host, pairs: Mapping[str, str]) -> dict[str, str]:
    """Sampler and scheduler, old spellings with the schedule in the sampler's name included."""
    if "Sampler" not in pairs:
        return {}
    try:
        sampler, scheduler = split_sampler_name(
            pairs["Sampler"], host.registry("samplers"), host.registry("schedulers")
        )
    except GessoError:
        return {"sampler": pairs["Sampler"]}
    chosen = pairs.get("Schedule type") or (scheduler.name if scheduler else "automatic")
    return {"sampler": sampler.name, "scheduler": chosen}


def _plain(value: float) -> int | float:
    """7 rather than 7.0, as A1111 writes whole numbers people typed."""
    return int(value) if float(value).is_integer() else value
