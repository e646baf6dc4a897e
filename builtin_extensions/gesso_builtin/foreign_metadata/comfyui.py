"""ComfyUI: the graph it ran, of which an infotext can tell the first sampling pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gesso_builtin.foreign_metadata.shared import Items, Size, compose, json_object, lora_tags

_COMFY = {
    "steps": "Steps", "sampler_name": "Sampler", "scheduler": "Schedule type", "cfg": "CFG scale",
    "guidance": "Distilled CFG Scale", "seed": "Seed", "noise_seed": "Seed", "ckpt_name": "Model", "unet_name": "Model",
    "vae_name": "VAE", "denoise": "Denoising strength", "width": "width", "height": "height",
}  # fmt: skip
_COMFY_TEXT = ("text", "text_g", "t5xxl", "clip_l", "prompt", "positive", "string", "value")
_Nodes = Mapping[str, Mapping[str, Any]]  # id -> inputs, plus the node's class under ""


def comfyui(items: Items, size: Size) -> str | None:
    """Chunk `prompt`: the graph ComfyUI ran. Describes the first sampling pass that led to an output."""
    graph = json_object(items.get("prompt"))
    nodes = {
        str(key): node["inputs"] | {"": str(node["class_type"])}
        for key, node in graph.items()
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict) and "class_type" in node
    }
    if not nodes:
        return None
    sampler = _first_pass(nodes)
    upstream = _upstream(nodes, [sampler])
    values: dict[str, Any] = {}
    for name in upstream:
        for field, key in _COMFY.items():
            if (value := _scalar(nodes, nodes[name].get(field), field)) is not None:
                values.setdefault(key, value)
    if values.get("Denoising strength") == 1:
        del values["Denoising strength"]
    size = int(values.get("width", size[0])), int(values.get("height", size[1]))
    loras = [
        (_scalar(nodes, nodes[name]["lora_name"], "lora_name"), nodes[name].get("strength_model", 1))
        for name in upstream
        if "lora_name" in nodes[name]
    ]
    positive = _comfy_prompt(nodes, upstream, ("positive", "conditioning"))
    return compose(positive + lora_tags(loras), _comfy_prompt(nodes, upstream, ("negative",)), values, size)


def _links(nodes: _Nodes, name: str, but: Sequence[str] = ()) -> list[str]:
    """The nodes that feed node `name`, except through the inputs named in `but`."""
    values = [value for field, value in nodes[name].items() if field not in but]
    return [str(v[0]) for v in values if isinstance(v, list) and len(v) == 2 and str(v[0]) in nodes]


def _upstream(nodes: _Nodes, start: Iterable[str], but: Sequence[str] = ()) -> list[str]:
    """`start` and everything that feeds it, nearest first."""
    found = dict.fromkeys(start)
    queue = list(found)
    for name in queue:
        if nodes[name][""] == "ConditioningZeroOut":  # an empty prompt, whatever text feeds it
            continue
        new = [link for link in dict.fromkeys(_links(nodes, name, but)) if link not in found]
        found |= dict.fromkeys(new)
        queue += new
    return queue


def _first_pass(nodes: _Nodes) -> str:
    """The sampler furthest from the outputs: a second pass refines what the first has made."""
    fed = {link for name in nodes for link in _links(nodes, name)}
    order = _upstream(nodes, [name for name in nodes if name not in fed]) or list(nodes)
    samplers = [n for n in order if {"positive", "guider"} & set(nodes[n]) and {"steps", "sigmas"} & set(nodes[n])]
    return samplers[-1] if samplers else order[0]


def _scalar(nodes: _Nodes, value: Any, field: str) -> Any:
    """A widget's value, followed through the nodes that only hold a number or a text."""
    for _ in range(8):
        if not (isinstance(value, list) and len(value) == 2 and str(value[0]) in nodes):
            break
        held = nodes[str(value[0])]
        value = next((held[key] for key in (field, *_COMFY_TEXT, "int", "float") if key in held), None)
    return value if isinstance(value, str | int | float) else None


def _comfy_prompt(nodes: _Nodes, upstream: Sequence[str], fields: Sequence[str]) -> str:
    """The text nearest to the first of `fields` that is connected."""
    other = "negative" if "positive" in fields else "positive"
    for name in upstream:
        for field in fields:
            link = nodes[name].get(field)
            if not (isinstance(link, list) and len(link) == 2 and str(link[0]) in nodes):
                continue
            for source in _upstream(nodes, [str(link[0])], but=(other,)):
                texts = (_scalar(nodes, nodes[source].get(key), key) for key in _COMFY_TEXT)
                if text := next((t for t in texts if isinstance(t, str) and t), ""):
                    return text
            return ""
    return ""
