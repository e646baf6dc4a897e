"""Infotext and pictures: written as A1111 writes them, read as every program of the field does."""

from __future__ import annotations

from gesso.metadata.a1111 import a1111_parameters, uses_emphasis, with_defaults
from gesso.metadata.errors import MetadataError
from gesso.metadata.foreign import json_object
from gesso.metadata.images import (
    FORMATS,
    ImageMetadata,
    encode_image,
    read_image_metadata,
    read_sidecar,
    save_image,
    save_sidecar,
)
from gesso.metadata.infotext import (
    Infotext,
    clean_prompt,
    format_infotext,
    is_legal_key,
    legal_pairs,
    parse_infotext,
    value_text,
)
from gesso.metadata.types import ReadMetadataFn

__all__ = [
    "FORMATS",
    "ImageMetadata",
    "Infotext",
    "MetadataError",
    "ReadMetadataFn",
    "a1111_parameters",
    "clean_prompt",
    "encode_image",
    "format_infotext",
    "is_legal_key",
    "json_object",
    "legal_pairs",
    "parse_infotext",
    "read_image_metadata",
    "read_sidecar",
    "save_image",
    "save_sidecar",
    "uses_emphasis",
    "value_text",
    "with_defaults",
]
