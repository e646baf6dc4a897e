"""Reading a model's layout off tensor names and shapes. Torch-free."""

from __future__ import annotations

import json
import re
from typing import Any, TypeGuard

from gesso import BadFileError, Header


def count(header: Header, pattern: str) -> int:
    """One more than the highest number `(\\d+)` in names matching the pattern; 0 for none."""
    compiled = re.compile(pattern)
    found = max((int(m.group(1)) for name in header.tensors if (m := compiled.match(name))), default=-1)
    if found >= _MOST_BLOCKS:
        raise BadFileError(f"The file numbers its blocks up to {found}, which no model has.")
    return found + 1


_MOST_BLOCKS = 1000
_MOST = {
    "layers_per_block": 16, "transformer_layers_per_block": 64, "reverse_transformer_layers_per_block": 64,
    "num_hidden_layers": 256, "max_position_embeddings": 4096, "block_out_channels": 100_000,
}  # fmt: skip
_MOST_LEVELS = 16


def checked(config: dict[str, Any]) -> dict[str, Any]:
    """The same configuration, unless it asks for a network nobody has: names and shapes cost a hostile file nothing,
    while each layer they claim is built."""
    for key, most in _MOST.items():
        value = config.get(key)
        if value is None:
            continue
        numbers = (
            [n for part in value for n in (part if isinstance(part, list) else [part])] if _many(value) else [value]
        )
        if len(numbers) > _MOST_LEVELS * _MOST_LEVELS or any(type(n) is not int or not 0 <= n <= most for n in numbers):
            raise BadFileError(f"The file describes a network with {key} = {str(value)[:60]}, which is impossible.")
    if len(config.get("block_out_channels", ())) > _MOST_LEVELS:
        raise BadFileError(f"The file describes a network of {len(config['block_out_channels'])} levels.")
    return config


def _many(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def groups(width: int) -> int:
    """GroupNorm groups: 32 as in every published model, fewer where the first layer is narrow (4 channels each)."""
    return max(1, min(32, width // 4))


def folder_config(header: Header, component: str) -> dict[str, Any]:
    """The config.json of a model folder's component, without its "_…" entries."""
    text = header.metadata.get(f"config.{component}")
    if text is None:
        raise BadFileError(f"The model folder has no {component}/config.json.", hint="Download it again.")
    return {key: value for key, value in json.loads(text).items() if not key.startswith("_")}
