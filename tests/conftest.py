"""What every test may rely on: no test touches a person's data folder or the network, what is missing is skipped."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A shell that runs this in the background has it ignore Ctrl-C, and so every process the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Point GESSO_HOME at a folder of this run; tests that need an empty one of their own take `gesso_home`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GESSO_HOME", str(tmp_path_factory.mktemp("gesso-home")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        yield


@pytest.fixture
def gesso_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder for one test, for this process and those it starts."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("GESSO_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root folder of the repository."""
    return ROOT


def _leaves_this_machine(address: Any) -> bool:
    if not isinstance(address, tuple):
        return False  # a Unix socket
    try:
        return not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback
    except ValueError:
        return address[0] != "localhost"


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """After the install gesso needs no network: a connection to another machine is an error in every test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.type == socket.SOCK_STREAM and _leaves_this_machine(address):
            raise RuntimeError(f"a test tried to connect to {address}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


def _missing_for(marker: str) -> str:
    """What a marked test needs and this machine lacks; empty if it can run."""
    if marker == "gpu":
        import torch

        return "" if torch.cuda.is_available() else "no CUDA device"
    if marker == "browser":
        if not importlib.util.find_spec("playwright"):
            return "Playwright is not installed: pip install 'gesso[test]'"
        found = os.environ.get("GESSO_TEST_CHROMIUM") or shutil.which("chromium")
        return "" if found else "no Chromium is installed (Debian: apt-get install chromium)"
    if marker == "postgres":
        return "" if os.environ.get("GESSO_TEST_POSTGRES") else "GESSO_TEST_POSTGRES names no server"
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers():
        if missing := _missing_for(marker.name):
            pytest.skip(missing)
