"""Whose page it is: a random id that the browser keeps in a cookie and scripts cannot read.

A cookie and not the page's own storage, because it comes with every request by itself: Gradio's events, the live
requests, a plain download.
"""

from __future__ import annotations

import re
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

COOKIE = "gesso_session"
YEAR_S = 365 * 24 * 3600


def owner_of(request: Any) -> str:
    """The session of a Gradio or FastAPI request; "" without one."""
    cookies: Mapping[str, str] = getattr(request, "cookies", None) or {}
    return _checked(cookies.get(COOKIE, ""))


def session_in(header: str) -> str:
    """The session in a Cookie header; "" without one."""
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return _checked(morsel.value if morsel is not None else "")


def new_session() -> str:
    return secrets.token_hex(16)


def set_cookie(session: str) -> str:
    """The value of a Set-Cookie header."""
    return f"{COOKIE}={session}; Path=/; Max-Age={YEAR_S}; HttpOnly; SameSite=Strict"


def _checked(text: str) -> str:
    return text if re.fullmatch(r"[0-9a-f]{32}", text) else ""
