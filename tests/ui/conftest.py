"""A served application without a browser, and the plugin with a broken tab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gesso.jobs.queue import JobQueue
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.plugins.selection import Selection
from gesso.serving import HostService
from gesso.store import Store

PLUGINS = Path(__file__).parents[1] / "browser" / "plugins"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostService]:
    """A started service: queue, worker, built-ins, and the odd plugin of the browser tests."""
    paths = Paths.of(tmp_path_factory.mktemp("ui-home"))
    selection = Selection(plugins_dir=PLUGINS)
    # Other tests of this process need torch; that the host does without is tested in a process of its own.
    with (
        Host.load("host", home=paths.home, selection=selection, heavy_allowed=True) as plugins,
        HostService(plugins, paths, selection=selection) as started,
    ):
        yield started


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    store = Store.open(tmp_path)
    yield JobQueue(store)
    store.close()
