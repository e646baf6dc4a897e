"""What every answer of the server goes through: who may ask, whose session it is, and what the page may load."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .session import new_session, session_in, set_cookie

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Nothing from anywhere else: no fonts, scripts, pictures or beacons. Gradio needs inline scripts and eval.
SOURCES = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
}
POLICY = "; ".join(f"{what} {sources}" for what, sources in SOURCES.items())
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """ASGI middleware. Refuses requests under another host's name, so that no web site can reach a loopback server by
    pointing its own name at it (DNS rebinding)."""

    def __init__(self, app: Any, names: tuple[str, ...] = LOOPBACK) -> None:
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}
        if _name(headers.get(b"host", "")) not in self.names or self._foreign(scope, headers):
            await _refuse(send, scope["type"])
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        session, cookie = session_in(headers.get(b"cookie", "")), b""
        if not session:
            session = new_session()
            cookie = set_cookie(session).encode()
            # This very request belongs to the new session already.
            others = [(key, value) for key, value in scope["headers"] if key != b"cookie"]
            joined = "; ".join(part for part in (headers.get(b"cookie", ""), set_cookie(session).split(";")[0]) if part)
            scope = {**scope, "headers": [*others, (b"cookie", joined.encode("latin-1"))]}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(b"content-security-policy", POLICY.encode()), (b"referrer-policy", b"no-referrer")]
                if cookie:
                    extra.append((b"set-cookie", cookie))
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        await self.app(scope, receive, with_headers)

    def _foreign(self, scope: Scope, headers: dict[bytes, str]) -> bool:
        """Whether a page from elsewhere asks for a change: a browser names that page, programs name none."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return False
        origin = headers.get(b"origin", "")
        return bool(origin) and _name(origin.partition("://")[2]) not in self.names


def _name(host: str) -> str:
    """A Host header without its port."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdecimal() else host).casefold()


async def _refuse(send: Send, kind: str) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = b"This server answers under its own address only."
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": body})
