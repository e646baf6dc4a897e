"""Which text encoders there are. Light: runs in the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gesso import GessoError, Header, Match, Service

from . import t5_keys
from .params import AUTOMATIC, NAME

_CLIP = "embeddings.token_embedding.weight"


def clip_l(service: Service) -> Sequence[tuple[str, Any]]:
    """Files with a CLIP text encoder."""
    return _files(service, lambda header: any(name.endswith(_CLIP) for name in header.tensors))


def t5xxl(service: Service) -> Sequence[tuple[str, Any]]:
    """Files with T5's encoder."""
    return _files(service, lambda header: bool(t5_keys.config(header, Match(family=NAME, variant=""))))


def _files(service: Service, holds: Callable[[Header], bool]) -> Sequence[tuple[str, Any]]:
    found = [(AUTOMATIC, AUTOMATIC)]
    for entry in service.library.entries("text_encoder"):
        try:
            if entry.state == "ok" and holds(service.library.header(entry.path)):
                found.append((entry.name, entry.name))
        except GessoError:
            continue  # a damaged file is no choice
    return found
