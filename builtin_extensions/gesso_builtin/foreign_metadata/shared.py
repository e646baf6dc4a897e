"""What the readers share: other programs' names for samplers, schedules and models, and an infotext from values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from gesso import format_infotext, json_object

__all__ = ["Items", "Size", "compose", "json_object", "lora_tags", "renamed", "stem"]
Items = Mapping[str, str]
Size = tuple[int, int]

# ComfyUI's identifiers, which SwarmUI and (with prefix k_) NovelAI use too, and InvokeAI's where they differ.
_SAMPLERS = {
    "euler": "Euler", "euler_ancestral": "Euler a", "euler_a": "Euler a", "heun": "Heun", "lms": "LMS", "lcm": "LCM",
    "dpm_2": "DPM2", "kdpm_2": "DPM2", "dpm_2_ancestral": "DPM2 a", "kdpm_2_a": "DPM2 a", "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive", "dpmpp_2s_ancestral": "DPM++ 2S a", "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M", "dpmpp_2m_sde": "DPM++ 2M SDE", "dpmpp_3m_sde": "DPM++ 3M SDE", "ddim": "DDIM",
    "ddim_v3": "DDIM", "ddpm": "DDPM", "plms": "PLMS", "uni_pc": "UniPC", "unipc": "UniPC", "uni_pc_bh2": "UniPC",
    "ipndm": "IPNDM", "deis": "DEIS",
}  # fmt: skip
_SCHEDULES = {
    "normal": "Normal", "karras": "Karras", "exponential": "Exponential", "polyexponential": "Polyexponential",
    "sgm_uniform": "SGM Uniform", "simple": "Simple", "ddim_uniform": "DDIM", "beta": "Beta",
    "kl_optimal": "KL Optimal", "align_your_steps": "Align Your Steps", "native": None,
}  # fmt: skip
_ORDER = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Distilled CFG Scale", "Seed", "Size", "Model", "VAE",
    "Variation seed", "Variation seed strength", "Denoising strength", "Clip skip", "ENSD",
)  # fmt: skip


def compose(prompt: Any, negative: Any, values: Mapping[str, Any], size: Size) -> str:
    """An infotext from values under A1111's keys; sampler and schedule may be foreign identifiers, models paths."""
    values = {"Size": f"{size[0]}x{size[1]}"} | {k: v for k, v in values.items() if isinstance(v, str | int | float)}
    sampler, schedule = _sampler(str(values.get("Sampler", "")))
    values["Sampler"] = sampler
    values.setdefault("Schedule type", schedule)
    values["Schedule type"] = _SCHEDULES.get(str(values["Schedule type"]).lower(), values["Schedule type"])
    for key in ("Model", "VAE"):
        values[key] = stem(str(values.get(key, "")))
    pairs = {key: values[key] for key in _ORDER if values.get(key) not in (None, "")}
    return format_infotext(str(prompt or ""), str(negative or ""), pairs)


def _sampler(name: str) -> tuple[str, str | None]:
    """A1111's label for a foreign identifier, and the schedule its suffix implies."""
    plain = name.lower().removeprefix("k_").removesuffix("_gpu")
    if plain in _SAMPLERS:
        return _SAMPLERS[plain], None
    if plain.endswith("_k") and plain[:-2] in _SAMPLERS:
        return _SAMPLERS[plain[:-2]], "Karras"
    return name, None


def stem(path: str) -> str:
    """The name people know a model by: no folders, no weights suffix."""
    name = PurePosixPath(PureWindowsPath(path).as_posix()).name
    for suffix in (".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin"):
        name = name.removesuffix(suffix)
    return name


def lora_tags(loras: Iterable[tuple[Any, Any]]) -> str:
    return "".join(f"<lora:{stem(str(name))}:{weight}>" for name, weight in loras if name)


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {key: values[name] for name, key in names.items() if values.get(name) is not None}
