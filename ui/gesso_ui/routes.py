"""Plugins' HTTP routes, each inside a boundary of its own: one that fails answers 500 and names its plugin."""

from __future__ import annotations

import asyncio
import logging
import threading

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse

from gesso import HostService, Route

from .guard import Message, Receive, Scope, Send

log = logging.getLogger("gesso.page")


def mount_routes(app: FastAPI, service: HostService) -> None:
    """All plugins' routes, the longest prefix first. Nothing of theirs is imported before the first request."""
    registry = service.host.registry("routes")
    for route in sorted(registry, key=lambda route: (-len(route.prefix), route.name)):
        app.mount(route.prefix, PluginRoutes(service, route), name=f"plugin-{route.name}")


class PluginRoutes:
    """An ASGI application: the plugin's router, made on the first request; what it raises is answered with 500.

    A router that cannot be built is not tried again before the next start.
    """

    def __init__(self, service: HostService, route: Route) -> None:
        self._service, self._route = service, route
        self._lock = threading.Lock()
        self._app: FastAPI | None = None
        self._broken: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            app = await asyncio.to_thread(self._made)
            await app(scope, receive, watched)
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise
        except BaseException as error:
            await self._failed(error, scope, receive, send, begun=begun)

    def _made(self) -> FastAPI:
        with self._lock:
            if self._broken is not None:
                raise self._broken
            try:
                self._app = self._app or self._build()
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._broken = error
                raise
            return self._app

    def _build(self) -> FastAPI:
        router = self._route.build.load()(self._service)
        if not isinstance(router, APIRouter):
            raise TypeError(f"{self._route.build} returned {type(router).__name__}, not a fastapi.APIRouter.")
        app = FastAPI(title=self._route.label, docs_url=None, redoc_url=None)
        app.include_router(router)
        app.add_exception_handler(Exception, self._handled)
        return app

    async def _handled(self, request: Request, error: Exception) -> JSONResponse:
        """A handler of the plugin raised. Starlette raises it again after this, so that it comes to the log."""
        return JSONResponse({"error": self._said(error)}, 500)

    async def _failed(self, error: BaseException, scope: Scope, receive: Receive, send: Send, *, begun: bool) -> None:
        said = self._said(error)
        log.error("%s: the routes %s failed at %s", said["plugin"], self._route.name, scope.get("path"), exc_info=error)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1011, "reason": f"The plugin {said['plugin']} failed."})
        elif not begun:
            await JSONResponse({"error": said}, 500)(scope, receive, send)

    def _said(self, error: BaseException) -> dict[str, str]:
        """Who failed, how, and what to do."""
        host, cause = self._service.host, error.__cause__ or error
        state = host.state(host.registry("routes").owner(self._route.name))
        return {
            "type": type(cause).__name__, "message": str(cause), "plugin": f"{state.dist}:{state.name} {state.version}",
            "hint": f"All else works. Update the plugin, or leave it out: gesso plugins disable {state.name}",
        }  # fmt: skip
