"""Who asks for a change of what is installed. Installing runs other people's code: only this machine's user may."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from gesso.plugins.installs.errors import RefusedError

_FORWARDED = frozenset({"forwarded", "via", "x-forwarded-for", "x-real-ip"})


@dataclass(frozen=True)
class Standing:
    """Where a session comes from and whether it has said who it is."""

    loopback: bool
    authenticated: bool

    @classmethod
    def of_request(cls, client: str | None, headers: Mapping[str, str], *, authenticated: bool) -> Standing:
        """A request's standing. `client` is the peer's address. What a proxy passes on comes from elsewhere."""
        forwarded = any(name.casefold() in _FORWARDED for name in headers)
        return cls(not forwarded and _is_loopback(client or ""), authenticated)

    def require(self, what: str) -> None:
        """RefusedError unless the session is on this machine and authenticated. `what` is refused: "install"."""
        if not self.loopback:
            raise RefusedError(
                f"This session comes from another machine and may not {what} plugins.",
                hint="Use gesso plugins on the machine itself.",
            )
        if not self.authenticated:
            raise RefusedError(
                f"This session has not signed in and may not {what} plugins.",
                hint="Open the page by the link that gesso ui prints in its terminal, or use gesso plugins there.",
            )


TERMINAL = Standing(loopback=True, authenticated=True)
"""A command typed on this machine: the system has checked who that is."""


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
