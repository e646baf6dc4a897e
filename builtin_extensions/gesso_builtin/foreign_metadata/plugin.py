"""Pictures of ComfyUI, SwarmUI, InvokeAI and NovelAI: their metadata become an infotext."""

from __future__ import annotations

from gesso import MetadataReader, ReadMetadataFn, Registrar, hookimpl, lazy

api = "1"
PROGRAMS = {"swarmui": "SwarmUI", "invokeai": "InvokeAI", "novelai": "NovelAI", "comfyui": "ComfyUI"}


@hookimpl
def gesso_register_metadata_readers(registry: Registrar[MetadataReader]) -> None:
    for name, label in PROGRAMS.items():
        registry.add(MetadataReader(name=name, label=label, read=lazy(f".{name}:{name}", ReadMetadataFn)))
