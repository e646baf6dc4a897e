"""The shield around plugins that are imported, when several threads hold it."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from gesso.plugins.surroundings import shielded


def test_threads_that_overlap_bring_the_streams_back():
    """The first in is the first out, so that neither can bring back what it found."""
    before = sys.stdout, os.fstat(1)
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with shielded():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(60)
    with shielded():
        leave.set()
        thread.join(60)
        assert sys.stdout is not before[0], "the second is still shielded"
        print("nobody reads this")
    assert sys.stdout is before[0]
    assert os.path.samestat(os.fstat(1), before[1])


def test_a_served_host_fills_its_registries_before_it_has_threads(tmp_path: Path, monkeypatch):
    """While a registry fills, what another thread prints is lost: a host once hung on its own "ready"."""
    from gesso.paths import Paths
    from gesso.plugins.host import Host
    from gesso.plugins.registries import REGISTRIES
    from gesso.serving import HostService

    host = Host.load("host", home=tmp_path)
    threads = set(threading.enumerate())
    fills: list[bool] = []
    fill = Host._fill
    monkeypatch.setattr(
        Host, "_fill", lambda self, name: (fills.append(set(threading.enumerate()) <= threads), fill(self, name))
    )
    with HostService(host, Paths.of(tmp_path)):
        for name in REGISTRIES:
            host.registry(name)
    assert fills
    assert all(fills)
