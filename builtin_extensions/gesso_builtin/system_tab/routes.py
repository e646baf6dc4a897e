"""Below `/plugins/system_tab`: GET status (HTML), status.json, report (text)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse

from gesso import HostService
from gesso_builtin.system_tab.status import page, report, status


def build(service: HostService) -> APIRouter:
    """The routes of a started service."""
    router = APIRouter()

    @router.get("/status")
    def shown() -> HTMLResponse:
        return HTMLResponse(page(status(service)))

    @router.get("/status.json")
    def data() -> dict[str, Any]:
        return status(service)

    @router.get("/report")
    def told() -> PlainTextResponse:
        return PlainTextResponse(report(status(service)))

    @router.get("/tab.js")
    def script() -> FileResponse:
        headers = {"Cache-Control": "no-cache"}  # asked for each time, answered with 304: an update shows at once
        return FileResponse(Path(__file__).with_name("tab.js"), media_type="text/javascript", headers=headers)

    return router
