"""Which autoencoders there are, and which one is meant. Light: runs in the host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gesso import Service

from .plugin import AUTOMATIC, NONE


def vaes(service: Service) -> Sequence[tuple[str, Any]]:
    """What the field offers."""
    files = [(entry.name, entry.name) for entry in service.library.entries("vae") if entry.state == "ok"]
    return [(AUTOMATIC, AUTOMATIC), (NONE, NONE), *files]


def chosen(name: str, model: str, service: Service) -> str:
    """The file's name in the library; "" for the model's own. UnknownNameError, BadFileError for what is none."""
    if name.casefold() in ("", NONE.casefold()):
        return ""
    if name.casefold() != AUTOMATIC.casefold():
        return service.library.find(name, "vae").name
    # As A1111, but "sd" is not the name of "sdxl_vae".
    called = re.compile(re.escape(service.library.find(model).path.stem) + r"(?![^\W_])", re.IGNORECASE)
    files = [entry for entry in service.library.entries("vae") if entry.state == "ok"]
    return next((entry.name for entry in files if called.match(entry.path.name)), "")
