"""Which text encoders there are. Light: runs in the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gesso import Header, Match, Service

from . import t5_keys
from .params import AUTOMATIC, NAME

_CLIP = "embeddings.token_embedding.weight"


def clip_l(service: Service) -> Sequence[tuple[str, Any]]:
    """Files with a CLIP text encoder."""
    return _files(service, lambda header: any(name.endswith(_CLIP) for name in header.tensors))


def t5xxl(service: Service) -> Sequence[tuple[str, Any]]:
    """Files with T5's encoder."""
    return _files(service, lambda header: bool(t5_keys.config(header, Match(family=NAME, variant=""))))


def _files(service: Service, holds: Any) -> Sequence[tuple[str, Any]]:
    entries = [entry for entry in service.library.entries("text_encoder") if entry.state == "ok"]
    return [(AUTOMATIC, AUTOMATIC), *((e.name, e.name) for e in entries if holds(_header(service, e)))]


def _header(service: Service, entry: Any) -> Header:
    header: Header = service.library.header(entry.path)
    return header
