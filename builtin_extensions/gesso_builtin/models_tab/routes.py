"""Below `/plugins/models_tab`: GET list, preview; POST rescan, unload. HTML in JSON: memory, roles, list."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from gesso import GessoError, HostService
from gesso_builtin.models_tab.cards import listed, loaded, memory, roles

UNLOAD_S = 3.0
"""How long an answer waits for the worker, which says every two seconds what it holds."""


class Asked(BaseModel):
    """What the tab shows."""

    role: str = Field("checkpoint", max_length=100)
    q: str = Field("", max_length=500)
    limit: int = Field(60, ge=1, le=5000)


def build(service: HostService) -> APIRouter:
    """The routes of a started service."""
    router = APIRouter()

    def shown(asked: Asked) -> dict[str, str]:
        found = listed(service, asked.role, asked.q, asked.limit)
        return {"memory": memory(service), "roles": roles(service, asked.role), "list": found}

    @router.get("/list")
    def show(asked: Annotated[Asked, Query()]) -> dict[str, str]:
        return shown(asked)

    @router.post("/rescan")
    def rescan(asked: Asked) -> dict[str, str]:
        service.library.all_entries(rescan=True)
        return shown(asked)

    @router.post("/unload")
    def unload(asked: Asked) -> dict[str, str]:
        """The worker forgets its models, after the job that runs; the answer waits a moment for that."""
        worker = getattr(service, "worker", None)
        if worker is not None:
            worker.unload()
        end = time.monotonic() + UNLOAD_S
        while loaded(service) and time.monotonic() < end:
            time.sleep(0.05)
        return shown(asked)

    @router.get("/preview")
    def preview(
        role: Annotated[str, Query(max_length=100)], name: Annotated[str, Query(max_length=1000)]
    ) -> FileResponse:
        entry = next((one for one in service.library.entries(role) if one.name == name), None)
        picture = service.library.card(entry).preview if entry is not None else None
        if picture is None:
            raise HTTPException(404, "There is no such picture.")
        try:
            small = service.thumbnails.of(picture)
        except GessoError as error:
            raise HTTPException(404, str(error)) from None
        return FileResponse(small, media_type="image/webp", headers={"Cache-Control": "private, max-age=60"})

    @router.get("/tab.js")
    def script() -> FileResponse:
        headers = {"Cache-Control": "no-cache"}  # asked for each time, answered with 304: an update shows at once
        return FileResponse(Path(__file__).with_name("tab.js"), media_type="text/javascript", headers=headers)

    return router
