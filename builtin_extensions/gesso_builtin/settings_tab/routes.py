"""Below `/plugins/settings_tab`: GET form; POST set, reset. What is stored is what the record takes, or nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, HTMLResponse
from pydantic import BaseModel, Field

from gesso import GessoError, HostService, Params
from gesso_builtin.settings_tab.form import row, whole


class Setting(BaseModel):
    """A setting, and its value as typed."""

    section: str = Field(max_length=200)
    field: str = Field(max_length=200)
    value: str = Field("", max_length=100_000)


def build(service: HostService) -> APIRouter:
    """The routes of a started service."""
    router = APIRouter()
    turn = threading.Lock()  # a section is read, changed and written as a whole

    @router.get("/form")
    def form() -> HTMLResponse:
        return HTMLResponse(whole(service))

    @router.post("/set")
    def change(given: Setting) -> HTMLResponse:
        with turn:
            return stored(given, lambda: service.changed_settings(given.section, {given.field: given.value}))

    @router.post("/reset")
    def reset(given: Setting) -> HTMLResponse:
        with turn:
            return stored(given, lambda: service.default_settings(given.section, given.field))

    def stored(given: Setting, make: Callable[[], Params]) -> HTMLResponse:
        try:
            made = make()
            service.settings.save(given.section, made)
        except (GessoError, OSError) as error:
            raise HTTPException(409, str(error)) from None
        return HTMLResponse(row(service, given.section, given.field, made))

    @router.get("/tab.js")
    def script() -> FileResponse:
        headers = {"Cache-Control": "no-cache"}  # asked for each time, answered with 304: an update shows at once
        return FileResponse(Path(__file__).with_name("tab.js"), media_type="text/javascript", headers=headers)

    return router
