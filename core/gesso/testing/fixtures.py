"""pytest fixtures for plugins' tests. In a conftest.py: `pytest_plugins = ["gesso.testing.fixtures"]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from gesso.plugins.host import Host
from gesso.testing.hosts import load_host, local_plugins


@pytest.fixture
def gesso_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder for one test, for this process and those it starts."""
    home = tmp_path / "gesso-home"
    home.mkdir()
    monkeypatch.setenv("GESSO_HOME", str(home))
    return home


@pytest.fixture
def make_host() -> Iterator[Callable[..., Host]]:
    """`make_host("halfway")`: a host with the built-ins and the plugins named; takes what `load_host` takes."""
    with ExitStack() as stack:

        def make(*names: str, **options: object) -> Host:
            return stack.enter_context(load_host(["builtin", *names], **options))  # type: ignore[arg-type]

        yield make


@pytest.fixture
def make_local_host() -> Iterator[Callable[[Mapping[str, str]], Host]]:
    """`make_local_host({"halfway": source})`: a host with the built-ins and single-file plugins from texts."""
    with ExitStack() as stack:
        yield lambda plugins: stack.enter_context(local_plugins(plugins))
