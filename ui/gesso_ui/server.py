"""Serves the page: a free port, uvicorn, and the news of where it is."""

from __future__ import annotations

import gc
import os
import socket
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gesso import HostService, InvalidInputError

if TYPE_CHECKING:
    from .sign_in import SignIn

TRIES = 50
"""Ports looked at above the wanted one."""
PATIENCE_S = 2
"""How long open connections may finish when the server ends."""


def listen(host: str, port: int) -> socket.socket:
    """A socket on the first free port from `port` on (0: any). InvalidInputError when none is."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port, min(port + TRIES, 65536)) if port else (0,):
        found = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, candidate))
            found.listen(128)
        except PermissionError as error:
            found.close()
            text = f"The port {candidate} may not be used: {error.strerror}."
            raise InvalidInputError(text, hint="Choose one above 1023.") from None
        except OSError:
            found.close()
            continue
        return found
    text = f"No port from {port} to {port + TRIES - 1} is free on {host}."
    raise InvalidInputError(text, hint="Choose another with --port.")


def serve(service: HostService, *, host: str = "127.0.0.1", port: int = 7860, browser: bool = True) -> None:
    """Serve the page of a started service until Ctrl-C or SIGTERM; says on stdout where."""
    if host not in ("127.0.0.1", "localhost", "::1"):
        raise InvalidInputError(
            f"The page is served on this machine only, not on {host}: it has no passwords yet.",
            hint="From elsewhere use a tunnel: ssh -L 7860:127.0.0.1:7860 this-machine.",
        )
    import uvicorn

    bound = listen(host, port)
    number = bound.getsockname()[1]
    if port and number != port:
        print(f"gesso: the port {port} is taken by another program; the page is on {number} instead.", flush=True)
    name = f"[{host}]" if ":" in host else host
    url = f"http://{name}:{number}"
    _set_gradio_up(service)
    with _no_collection():
        from .app import make_app
        from .sign_in import SignIn

        sign_in = SignIn()
        app = make_app(service, sign_in)
    settings = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=PATIENCE_S)
    server = uvicorn.Server(settings)
    threading.Thread(target=_announce, args=(service, server, url, sign_in, browser), daemon=True).start()
    server.run(sockets=[bound])


@contextmanager
def _no_collection() -> Iterator[None]:
    """What is imported and built here stays. To look for garbage among it is a quarter of the time that importing
    Gradio takes, and is not worth it later either."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _set_gradio_up(service: HostService) -> None:
    """Gradio reads these when it is imported."""
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_RUN_HISTORY="False", HF_HUB_OFFLINE="1")
    os.environ.setdefault("GRADIO_TEMP_DIR", str(service.paths.cache / "page"))


def _announce(service: HostService, server: Any, url: str, sign_in: SignIn, browser: bool) -> None:
    """Once the server answers: tell the person, other processes and the browser."""
    ended = threading.Event()
    while not server.started and not server.should_exit:
        ended.wait(0.02)
    if server.should_exit:
        return
    service.lock.tell(url, sign_in.token)
    print(f"gesso: the page is on {url} (Ctrl-C ends it)", flush=True)
    print(f"gesso: to install extensions from the page, open {sign_in.link(url)}", flush=True)
    if browser and os.environ.get("DISPLAY", os.name != "posix"):
        webbrowser.open(sign_in.link(url))
