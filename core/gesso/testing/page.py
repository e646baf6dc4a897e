"""A page without a server, on which tabs can be built."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gesso.jobs.progress import ProgressBoard
from gesso.jobs.queue import JobQueue
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.serving import HostService
from gesso.store import Store


@dataclass(frozen=True)
class TestPage:
    """What tabs are built with (`gesso.Page`)."""

    __test__ = False  # not a test class, whatever its name looks like

    service: HostService
    loads: list[tuple[Callable[..., Any], Sequence[Any]]] = field(default_factory=list)
    """(handler, outputs) of what tabs want called when somebody opens the page."""

    def takes(self, label: str, take: Callable[..., Any], outputs: Sequence[Any]) -> None:
        """Nothing is sent on this page."""

    def shows(self, place: Any, selected: Any) -> None:
        """Nothing is sent on this page."""

    def keep(self, draft: str, components: Sequence[Any]) -> None:
        """This page has no browser."""

    def on_load(self, handler: Callable[..., Any], outputs: Sequence[Any], *, draft: str = "") -> None:
        """Remember the handler in `loads`; nobody opens this page."""
        self.loads.append((handler, outputs))


@contextmanager
def headless_page(host: Host) -> Iterator[TestPage]:
    """A page whose service has a queue and a store, empty, and no worker: enough to build tabs, not to run jobs."""
    with tempfile.TemporaryDirectory(prefix="gesso-page-", ignore_cleanup_errors=True) as folder:
        service = HostService(host, Paths.of(folder))
        store = Store.open(Path(folder))
        try:
            service.queue = JobQueue(store)
            service.progress = ProgressBoard(lambda job: 1)
            yield TestPage(service)
        finally:
            store.close()
