"""Installing over HTTP, for the Extensions tab and for scripts: looked up, shown, then made.

POST gesso/installs {"action": "install" | "update" | "uninstall" | "rollback", "names": […], "index": ""} looks what
would change; GET gesso/installs/ID tells how far it is; POST gesso/installs/ID/apply makes it; GET gesso/installs is
the history. 403 for a session that is not on this machine or has not signed in (`sign_in`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel

from gesso import GessoError, HostService

from .sign_in import SignIn

T = TypeVar("T")
REFUSED = 4
"""The exit code of a session that may not."""


class Asked(BaseModel):
    """What is to be changed."""

    action: str
    names: list[str] = []
    index: str = ""


def router(service: HostService, sign_in: SignIn) -> APIRouter:
    """The routes of a service."""
    made = APIRouter(prefix="/gesso/installs")

    @made.get("")
    def history() -> list[dict[str, Any]]:
        return answered(lambda: service.installs.history())

    @made.post("", status_code=202)
    def begin(request: Request, asked: Asked) -> dict[str, Any]:
        standing = sign_in.standing(request)
        return answered(
            lambda: service.installs.begin(standing, asked.action, asked.names, index=asked.index).for_people()
        )

    @made.get("/{id_}")
    def one(id_: int) -> dict[str, Any]:
        return answered(lambda: service.installs.get(id_).for_people())

    @made.post("/{id_}/apply", status_code=202)
    def apply(request: Request, id_: int) -> dict[str, Any]:
        standing = sign_in.standing(request)
        return answered(lambda: service.installs.apply(standing, id_).for_people())

    return made


def answered(function: Callable[[], T]) -> T:
    """What the function returns; 403 for who may not, 409 for what cannot be done."""
    try:
        return function()
    except GessoError as error:
        raise HTTPException(403 if error.exit_code == REFUSED else 409, str(error)) from None
