"""Which files are meant: settled in the host, which alone knows a person's folders."""

from __future__ import annotations

from typing import Any

from gesso import Service

ROLES = ("checkpoint", "vae", "text_encoder", "lora")


def resolve(params: Any, service: Service) -> Any:
    """The record with `models` as "role:path" of every file. UnknownNameError: a model that is not there."""
    library = service.library
    registered = (folder.role for folder in service.host.registry("model_folders"))
    roles = [params.role] if params.role else list(dict.fromkeys((*ROLES, *registered)))
    if params.models:
        role = params.role or "checkpoint"
        return params.model_copy(update={"models": [_named(library, name, role) for name in params.models]})
    entries = [entry for role in roles for entry in library.entries(role, rescan=role == roles[0])]
    return params.model_copy(update={"models": [f"{entry.role}:{entry.path}" for entry in entries]})


def _named(library: Any, name: str, role: str) -> str:
    """A model by name; one that is refused is found too, since its problem is what this task is for."""
    listed = next((entry for entry in library.entries(role) if name in (entry.name, entry.path.name)), None)
    entry = listed or library.find(name, role)
    return f"{entry.role}:{entry.path}"
