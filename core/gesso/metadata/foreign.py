"""Whose metadata a picture carries: dialects of infotext by their marks, other forms by the plugins that read them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from gesso.contributions import MetadataReader
from gesso.metadata.infotext import Infotext

Items = Mapping[str, str]
Size = tuple[int, int]
log = logging.getLogger(__name__)


def convert(items: Items, size: Size, readers: Iterable[MetadataReader]) -> tuple[str, str] | None:
    """Program and infotext of the first reader that knows the picture; an unexpected shape means "not mine"."""
    for reader in readers:
        try:
            text = reader.read.load()(items, size)
        except Exception as error:  # written by strangers, and read by anybody's code
            log.debug("The reader %s takes the picture for no one of its own: %r", reader.name, error)
            continue
        if text is not None:
            return reader.name, text
    return None


_VERSIONS = {
    "gesso": "gesso", "comfyui": "comfyui", "f0": "forge", "f1": "forge", "f2": "forge", "neo": "forge",
    "fooocus": "fooocus",
}  # fmt: skip


def dialect(info: Infotext) -> str:
    """Which program wrote an infotext, by the marks it leaves: its name in lower case; `a1111` where none is found."""
    params = info.params
    version = params.get("Version", "").lower()
    if "Civitai resources" in params or "Civitai metadata" in params:
        return "civitai"
    if params.get("App", "").lower().startswith("sd.next"):
        return "sdnext"
    return next((name for start, name in _VERSIONS.items() if version.startswith(start)), "a1111")


def json_object(text: str | None) -> dict[str, Any]:
    """The JSON object `text` is; empty where it is none. ValueError or RecursionError: it only begins like one."""
    value = json.loads(text) if text and text.lstrip().startswith("{") else {}
    return value if isinstance(value, dict) else {}
