"""What the fields offer. Light: runs in the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gesso import Service

from .params import SAME

Choices = Sequence[tuple[str, Any]]


def upscalers(service: Service) -> Choices:
    """Those that stretch latents first, as in A1111."""
    known = sorted(service.host.registry("upscalers"), key=lambda upscaler: upscaler.latents is None)
    return [(upscaler.label, upscaler.label) for upscaler in known]


def samplers(service: Service) -> Choices:
    """All there are, and the first pass's."""
    return _or_same(service, "sampler")


def schedulers(service: Service) -> Choices:
    """All there are, and the first pass's."""
    return _or_same(service, "scheduler")


def checkpoints(service: Service) -> Choices:
    """All that can be used, and the first pass's."""
    names = [entry.name for entry in service.library.entries() if entry.state == "ok"]
    return [(SAME["checkpoint"], ""), *((name, name) for name in names)]


def _or_same(service: Service, slot: str) -> Choices:
    labels = [item.label for item in service.host.registry(f"{slot}s")]
    return [(SAME[slot], ""), *((label, label) for label in labels)]
