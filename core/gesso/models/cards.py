"""What stands beside a model file: a preview picture, what it is for, the words that trigger it.

Sources, the first that says something wins: `name.json` as A1111's page writes it, `name.civitai.info` as the Civitai
helpers write it, `name.txt` or `name.description.txt`, the file's own modelspec metadata.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gesso.types import Frozen

MAX_SIDECAR = 4_000_000
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif")


class Card(Frozen):
    """A model as people describe it. Texts are plain; "" where nobody says anything."""

    preview: Path | None = None
    description: str = ""
    notes: str = ""
    base_model: str = ""
    """As its author calls the family: "SD1", "SDXL 1.0", "Flux.1 D"."""
    trigger_words: tuple[str, ...] = ()
    negative_words: str = ""
    preferred_weight: float | None = None
    """Of a LoRA; 0 counts as not said, as in A1111."""
    model_id: int | None = None
    """At Civitai."""
    version_id: int | None = None


def read_card(path: Path, metadata: Mapping[str, str] | None = None) -> Card:
    """The card of a model file or folder; `metadata` is its header's. Damaged sidecars say nothing."""
    base = path if path.is_dir() else path.with_suffix("")
    own, civitai = _json(_beside(base, ".json")), _json(_beside(base, ".civitai.info"))
    metadata = metadata or {}
    text = _text(_beside(base, ".txt")) or _text(_beside(base, ".description.txt"))
    words = _words(own.get("activation text")) or _words(civitai.get("trainedWords"))
    weight = own.get("preferred weight")
    return Card(
        preview=_preview(base),
        description=_first(own.get("description"), _plain(civitai.get("description")), text,
                           metadata.get("modelspec.description")),
        notes=_first(own.get("notes")),
        base_model=_first(own.get("sd version"), civitai.get("baseModel"), metadata.get("modelspec.architecture")),
        trigger_words=words or _words(metadata.get("modelspec.trigger_phrase")),
        negative_words=_first(own.get("negative text")),
        preferred_weight=float(weight) if isinstance(weight, int | float) and weight else None,
        model_id=_number(civitai.get("modelId")),
        version_id=_number(civitai.get("id")),
    )  # fmt: skip


def _beside(base: Path, suffix: str) -> Path:
    return base.with_name(base.name + suffix)


def _preview(base: Path) -> Path | None:
    """A1111's order: for each kind of picture `name.png`, then `name.preview.png`."""
    names = [f"{middle}{suffix}" for suffix in PICTURES for middle in ("", ".preview")]
    return next((path for name in names if (path := _beside(base, name)).is_file()), None)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIDECAR + 1)
    except OSError:
        return ""
    return data.decode("utf-8-sig", "replace").strip() if len(data) <= MAX_SIDECAR else ""


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _first(*values: Any) -> str:
    """The first text that says something."""
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), "")


def _plain(text: Any) -> str:
    """Civitai's descriptions are HTML."""
    if not isinstance(text, str):
        return ""
    return html.unescape(re.sub(r"<[^>]{0,2000}>", "", re.sub(r"</p>|</li>|<br\s*/?>", "\n", text))).strip()


def _words(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(word.strip() for word in values if isinstance(word, str) and word.strip())


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
