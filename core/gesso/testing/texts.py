"""Infotext as a plugin's records meet it."""

from __future__ import annotations

from collections.abc import Mapping

from gesso.metadata import format_infotext, is_legal_key, parse_infotext

# A reader takes a line for infotext from three pairs on; these stand for those every picture has.
_COMPANY = {"Steps": 20, "Sampler": "Euler", "Size": "512x512"}


def infotext_round_trip(pairs: Mapping[str, object]) -> dict[str, str]:
    """What a reader finds of these pairs after they were written among others. MetadataError for an illegal key."""
    text = format_infotext("a red circle, (large:1.2)", "", {**_COMPANY, **pairs})
    found = parse_infotext(text).params
    return {key: value for key, value in found.items() if key not in _COMPANY or key in pairs}


def is_infotext_key(key: str) -> bool:
    """Whether every reader would find this key."""
    return is_legal_key(key)
