"""Who may change what is installed: this machine's user alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gesso.paths import Paths
from gesso.plugins.installs.errors import RefusedError
from gesso.plugins.installs.manage import Installer
from gesso.plugins.installs.proposal import Proposal
from gesso.plugins.installs.standing import TERMINAL, Standing

NOTHING = Proposal("nothing", {}, {}, ())
CALLS: dict[str, Callable[[Installer], Any]] = {
    "install": lambda installer: installer.propose_install(["gesso-a"]),
    "update": lambda installer: installer.propose_update(),
    "uninstall": lambda installer: installer.propose_uninstall(["a"]),
    "rollback": lambda installer: installer.propose_rollback(),
    "apply": lambda installer: installer.apply(NOTHING),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("standing", "says"),
    [
        (Standing(loopback=False, authenticated=True), "comes from another machine"),
        (Standing(loopback=True, authenticated=False), "has not signed in"),
    ],
)
def test_others_are_refused_before_anything_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, standing: Standing, says: str
):
    monkeypatch.setattr("gesso.plugins.installs.manage.installed", lambda *_: pytest.fail("it looked"))
    with pytest.raises(RefusedError, match=says):
        CALLS[call](Installer(Paths.of(tmp_path), standing))


@pytest.mark.parametrize(
    ("client", "headers", "loopback"),
    [
        ("127.0.0.1", {}, True),
        ("127.8.9.1", {}, True),
        ("::1", {}, True),
        ("::ffff:127.0.0.1", {}, True),
        ("192.168.1.7", {}, False),
        ("::ffff:192.168.1.7", {}, False),
        ("", {}, False),
        (None, {}, False),
        ("localhost.example", {}, False),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.1"}, False),
        ("127.0.0.1", {"forwarded": "for=10.0.0.1"}, False),
        ("127.0.0.1", {"Accept": "*/*"}, True),
    ],
)
def test_where_a_request_comes_from(client: str | None, headers: dict[str, str], loopback: bool):
    assert Standing.of_request(client, headers, authenticated=True).loopback is loopback
    assert Standing.of_request(client, headers, authenticated=True).authenticated


def test_a_terminal_may():
    TERMINAL.require("install")
