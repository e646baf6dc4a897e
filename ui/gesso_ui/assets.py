"""Plugins' style sheets and scripts: served from where they lie, linked in the page's head."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from gesso import Asset, HostService

TYPES = {".css": "text/css", ".js": "text/javascript"}


def router(service: HostService) -> APIRouter:
    """GET gesso/assets/NAME.css, …/NAME.js."""
    made = APIRouter(prefix="/gesso/assets")

    @made.get("/{name}")
    def asset(name: str) -> FileResponse:
        found = next((one for one in service.host.registry("assets") if _file(one) == name), None)
        if found is None or not found.file.is_file():
            raise HTTPException(404, "There is no such file.")
        headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return FileResponse(found.file, media_type=TYPES[found.file.suffix], headers=headers)

    return made


def links(service: HostService) -> str:
    """What the page's head says of them."""
    found = []
    for one in service.host.registry("assets"):
        url = f"gesso/assets/{_file(one)}"
        css = one.file.suffix == ".css"
        found.append(f'<link rel="stylesheet" href="{url}">' if css else f'<script type="module" src="{url}"></script>')
    return "".join(found)


def _file(asset: Asset) -> str:
    return f"{asset.name}{asset.file.suffix}"
