"""*Shapes*: a small honest model in the wheel, so that a fresh machine makes a picture with no download."""

from __future__ import annotations

from pathlib import Path

from gesso import ModelFolder, Preview, PreviewFn, Registrar, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_model_folders(registry: Registrar[ModelFolder]) -> None:
    path = Path(__file__).with_name("shapes.safetensors")
    registry.add(ModelFolder(name="demo_model", label="Demo model", role="checkpoint", path=path, built_in=True))


@hookimpl
def gesso_register_previews(registry: Registrar[Preview]) -> None:
    registry.add(Preview(name="shapes", label="Shapes latents", run=lazy(".preview:preview", PreviewFn)))
