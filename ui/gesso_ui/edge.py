"""The last step of every answer: texts in the reader's language, and on the page itself theme and language.

What an answer holds are marks (`gesso.text`), since Gradio builds the page once for everybody. A reader's choice is
kept in two cookies that scripts may set; without them the settings and the browser decide.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any

from gesso import Catalog, PageSettings

from .guard import Message, Receive, Scope, Send
from .theme import THEMES

LANGUAGE, THEME = "gesso_language", "gesso_theme"
BUFFERED = ("text/html", "application/json")
STREAMED = ("text/event-stream",)
LEAST = 1400
"""Below so many bytes compressing brings nothing."""
VARY = b"Cookie, Accept-Language, Accept-Encoding"
HEAD = b"<head>"
HTML_OPEN = b"<html\n"


class Edge:
    """ASGI middleware around the application, inside `Guard`."""

    def __init__(
        self, app: Any, catalog: Catalog, settings: Callable[[], PageSettings], head: Callable[[], str]
    ) -> None:
        """`head` is HTML for the page's head that every reader gets."""
        self.app, self.catalog, self.settings, self.head = app, catalog, settings, head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_file(scope["path"]):
            await self.app(scope, receive, send)
            return
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}
        # What is compressed already cannot be read here.
        plain = [(key, value) for key, value in scope["headers"] if key != b"accept-encoding"]
        answer = _Answer(self, headers, send)
        await self.app({**scope, "headers": plain}, receive, answer.send)

    def language(self, headers: dict[bytes, str]) -> str:
        """The reader's choice, or the settings', or the browser's."""
        chosen = self.settings().language
        return self.catalog.match(
            _cookie(headers, LANGUAGE), "" if chosen == "auto" else chosen, headers.get(b"accept-language", "")
        )

    def theme(self, headers: dict[bytes, str]) -> str:
        """The reader's choice, or the settings'."""
        chosen = _cookie(headers, THEME)
        return chosen if chosen in THEMES else self.settings().theme

    def dressed(self, body: bytes, headers: dict[bytes, str], language: str) -> bytes:
        """The page's HTML with theme, language and what its scripts say."""
        theme = self.theme(headers)
        words = json.dumps(self.catalog.starting("js.", language), ensure_ascii=False)
        names = json.dumps({"now": language, "all": self.catalog.languages}, ensure_ascii=False)
        inside = (
            f'{self.head()}<script type="application/json" id="gesso-texts">{words}</script>'
            f'<script type="application/json" id="gesso-languages">{names}</script>'
        )
        code = language.replace("_", "-")
        opened = f'<html data-theme="{theme}" data-language="{code}"\n'
        body = body.replace(HTML_OPEN, opened.encode(), 1).replace(b'lang="en"', f'lang="{code}"'.encode(), 1)
        return body.replace(HEAD, HEAD + inside.encode(), 1)


class _Answer:
    """One answer on its way: held back where it is a page or JSON, sent on message by message where it is a stream."""

    def __init__(self, edge: Edge, headers: dict[bytes, str], send: Send) -> None:
        self._edge, self._headers, self._send = edge, headers, send
        self._language = edge.language(headers)
        self._start: Message = {}
        self._kind = ""
        self._parts: list[bytes] = []

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            given = {key.lower(): value for key, value in message.get("headers", ())}
            self._kind = given.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip()
            if self._kind not in BUFFERED:
                await self._send(message)
        elif self._kind in BUFFERED:
            self._parts.append(message.get("body", b""))
            if not message.get("more_body"):
                await self._finish(b"".join(self._parts))
        elif self._kind in STREAMED and message.get("body"):
            await self._send({**message, "body": self._translated(message["body"])})
        else:
            await self._send(message)

    def _translated(self, body: bytes) -> bytes:
        if b"\xee\x80\x80" not in body and b"\\ue000" not in body:
            return body
        return self._edge.catalog.translate(body.decode(), self._language, in_json=True).encode()

    async def _finish(self, body: bytes) -> None:
        body = self._translated(body)
        if self._kind == "text/html" and HEAD in body:
            body = self._edge.dressed(body, self._headers, self._language)
        dropped = (b"content-length", b"content-encoding")
        headers = [(key, value) for key, value in self._start.get("headers", ()) if key.lower() not in dropped]
        if len(body) >= LEAST and "gzip" in self._headers.get(b"accept-encoding", ""):
            body = gzip.compress(body, 4, mtime=0)
            headers.append((b"content-encoding", b"gzip"))
        headers += [(b"content-length", str(len(body)).encode()), (b"vary", VARY)]
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _is_file(path: str) -> bool:
    """What is the same for everybody: scripts, styles, fonts, pictures."""
    return path.startswith(("/assets/", "/static/", "/gesso/static/", "/gesso/assets/", "/gesso/file/", "/svelte/"))


def _cookie(headers: dict[bytes, str], name: str) -> str:
    try:
        morsel = SimpleCookie(headers.get(b"cookie", "")).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""
