"""The ASGI application: the page, what it asks for, its files."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any

import gradio as gr
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from gesso import FileRef, HostService

from . import installs_api, plugins_api
from .assets import router as assets_router
from .components.gallery import SUFFIXES
from .edge import Edge
from .guard import Guard
from .jobs_api import router as jobs_router
from .live import Live
from .page import STATIC, build_page, head_of, options, settings_of
from .routes import mount_routes
from .session import owner_of
from .sign_in import SignIn
from .texts import catalog_of
from .theme import stylesheet

FILE = re.compile(r"([0-9a-f]{64})(\.[a-z0-9]+)?")
TYPES = {suffix: mime for mime, suffix in SUFFIXES.items()}


def make_app(service: HostService, sign_in: SignIn | None = None) -> FastAPI:
    """The application of a started service."""
    # Without a running event loop Gradio makes four for each `Blocks`, and closes none.
    return asyncio.run(_make_app(service, sign_in or SignIn()))


async def _make_app(service: HostService, sign_in: SignIn) -> FastAPI:
    # As many events at once as come: they only talk to queue and disk.
    os.environ.setdefault("GRADIO_DEFAULT_CONCURRENCY_LIMIT", "none")
    app = FastAPI(title="gesso", docs_url=None, redoc_url=None, openapi_url=None)
    live = Live(service)

    @app.get("/gesso/live")
    def snapshot(request: Request, job: str = "", preview: int = 0) -> dict[str, Any]:
        return live.snapshot(owner_of(request), job, preview)

    @app.get("/gesso/file/{name}")
    def file(name: str) -> FileResponse:
        found = FILE.fullmatch(name)
        path = service.queue.store.files.path(FileRef(sha256=found[1])) if found else None
        if found is None or path is None or not path.is_file():
            raise HTTPException(404, "There is no such file.")
        # The name is the hash of the content: what is behind it never changes.
        headers = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return FileResponse(path, media_type=TYPES.get(found[2], "application/octet-stream"), headers=headers)

    @app.get("/gesso/theme.css")
    def theme() -> Response:
        return Response(stylesheet(), media_type="text/css", headers={"Cache-Control": "no-cache"})

    app.include_router(plugins_api.router(service))
    app.include_router(installs_api.router(service, sign_in))
    app.include_router(sign_in.router())
    app.mount("/gesso/static", StaticFiles(directory=STATIC))
    app.include_router(assets_router(service))
    app.include_router(jobs_router(service, live.look_again))
    mount_routes(app, service)  # before the page, which answers every path
    catalog = catalog_of(service)
    gr.mount_gradio_app(app, build_page(service, catalog.languages), path="/", **options())
    app.add_middleware(Edge, catalog=catalog, settings=lambda: settings_of(service), head=lambda: head_of(service))
    app.add_middleware(Guard)
    return app
