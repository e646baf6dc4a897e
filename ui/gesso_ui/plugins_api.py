"""What the page's process knows of its plugins, as JSON: for the command line, for scripts, and for the Extensions tab.

GET gesso/plugins, gesso/plugins/report, gesso/plugins/NAME, gesso/plugins/NAME/report; POST gesso/plugins/NAME/enable,
…/disable, …/reset. NAME is a plugin's, or `dist:name`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, HTTPException
from fastapi.responses import PlainTextResponse

from gesso import HostService, InvalidInputError, PluginState

T = TypeVar("T")


def router(service: HostService) -> APIRouter:
    """The routes of a service."""
    made = APIRouter(prefix="/gesso/plugins")
    desk = service.plugins
    actions: dict[str, Callable[[str], PluginState]] = {
        "enable": lambda name: desk.set_enabled(name, True),
        "disable": lambda name: desk.set_enabled(name, False),
        "reset": desk.reset,
    }

    @made.get("")
    def states() -> list[dict[str, Any]]:
        return [state.model_dump(mode="json") for state in desk.states()]

    @made.get("/report")
    def whole_report() -> PlainTextResponse:
        return PlainTextResponse(desk.report(), media_type="text/markdown")

    @made.get("/{name}")
    def one(name: str) -> dict[str, Any]:
        return known(desk.state, name).model_dump(mode="json")

    @made.get("/{name}/report")
    def report(name: str) -> PlainTextResponse:
        return PlainTextResponse(known(desk.report, name), media_type="text/markdown")

    @made.post("/{name}/{action}")
    def act(name: str, action: str) -> dict[str, Any]:
        if action not in actions:
            raise HTTPException(404, f"There is no {action!r}; there are {', '.join(actions)}.")
        return known(actions[action], name).model_dump(mode="json")

    return made


def known(function: Callable[[str], T], name: str) -> T:
    """What the function makes of a plugin; 404 with the near matches when there is none of that name."""
    try:
        return function(name)
    except InvalidInputError as error:
        raise HTTPException(404, str(error)) from None
