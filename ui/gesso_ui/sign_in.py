"""Which sessions may change what is installed: those opened by the link that only this machine's user has seen."""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse

from gesso import Standing

from .session import owner_of

PATH = "/gesso/sign-in"


class SignIn:
    """A secret of one start of the host, and the sessions that have shown it."""

    def __init__(self, token: str = "") -> None:
        self.token = token or secrets.token_urlsafe(24)
        self._sessions: set[str] = set()

    def link(self, url: str) -> str:
        """What signs a browser in, below the page's address."""
        return f"{url}{PATH}?key={self.token}"

    def standing(self, request: Request) -> Standing:
        """Where a request comes from, and whether its session has signed in; programs send the secret as a bearer's."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        bearer = scheme.casefold() == "bearer" and self._is_ours(given)
        client = request.client.host if request.client else None
        return Standing.of_request(client, request.headers, authenticated=bearer or owner_of(request) in self._sessions)

    def router(self) -> APIRouter:
        """The route of the link."""
        made = APIRouter()

        @made.get(PATH)
        def sign_in(request: Request, key: str = "") -> Any:
            if not self._is_ours(key):
                raise HTTPException(
                    403, "This link is of another start of gesso. The terminal shows the one that holds."
                )
            self._sessions.add(owner_of(request))
            return RedirectResponse("..", status_code=303)  # relative, so that a prefix before the page stays

        return made

    def _is_ours(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())
