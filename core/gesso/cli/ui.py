"""`gesso ui`, and `gesso` alone: the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from gesso.cli.app import CHOICE, guarded
from gesso.references import lazy

if TYPE_CHECKING:
    from gesso.serving import HostService


class ServeFn(Protocol):
    """Serves the page of a started service until it is ended."""

    def __call__(self, service: HostService, *, host: str, port: int, browser: bool) -> None: ...


# By name: the core does not know the page, which is built on it.
SERVE = lazy("gesso_ui.server:serve", ServeFn)


def command(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port, or the next free one; 0: any.")] = 7860,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Serve the page."""
    guarded(_ui, False, host, port, browser)


def _ui(host: str, port: int, browser: bool) -> None:
    from gesso.paths import Paths
    from gesso.plugins.host import Host, Selection
    from gesso.serving import HostService

    selection = Selection(CHOICE.safe_mode, CHOICE.only, CHOICE.without, CHOICE.plugins_dir)
    paths = Paths.of()
    with Host.load("host", home=paths.home, selection=selection) as plugins:
        plugins.fill()
        with HostService(plugins, paths, selection=selection) as service:
            SERVE.load()(service, host=host, port=port, browser=browser)
