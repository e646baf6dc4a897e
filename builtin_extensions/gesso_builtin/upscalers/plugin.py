"""Ways to make a picture larger that need no model: Lanczos and nearest."""

from __future__ import annotations

from gesso import Registrar, UpscaleFn, Upscaler, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_upscalers(registry: Registrar[Upscaler]) -> None:
    registry.add(
        Upscaler(name="lanczos", label="Lanczos", run=lazy(".resample:lanczos", UpscaleFn)),
        Upscaler(name="nearest", label="Nearest", run=lazy(".resample:nearest", UpscaleFn)),
    )
