"""A worker with the toy family and the faulty samplers, and models small enough not to be waited for."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gesso.jobs.protocol import WorkerSettings
from gesso.jobs.worker_executor import WorkerExecutor
from gesso.paths import Paths
from gesso.plugins import Host, Selection
from gesso.service import Service
from gesso.telemetry import Publisher

PLUGINS = Path(__file__).parent / "plugins"
QUICK = WorkerSettings(threads=1, niceness=0, first_step_seconds=2, step_seconds=2, cancel_seconds=1)
"""Limits a test can wait for. Loading keeps its long one: the machine may be busy."""


@pytest.fixture(scope="session")
def worker_plugins() -> Path:
    """A folder of plugins: `toy` and `faulty`."""
    return PLUGINS


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the toy family: two numbers."""
    tensor = {"dtype": "F32", "shape": [1, 1]}
    header = {"toy.net": {**tensor, "data_offsets": [0, 4]}, "toy.vae": {**tensor, "data_offsets": [4, 8]}}
    text = json.dumps(header).encode()
    path = tmp_path_factory.mktemp("models") / "toy.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + struct.pack("<ff", 0.5, 1.0))
    return path


MakeService = Callable[..., Service]


@pytest.fixture(scope="module")
def make_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeService]:
    """A service whose jobs run in a worker: `make_service(options)`; closed when the module's tests are done."""
    made: list[Service] = []

    def make(options: WorkerSettings = QUICK, home: Path | None = None, **selected: Any) -> Service:
        paths = Paths.of(home or tmp_path_factory.mktemp("worker-home"))
        selection = Selection(plugins_dir=PLUGINS, **selected)
        host = Host.load("host", home=paths.home, selection=selection, heavy_allowed=True)
        service = Service(host, paths)
        executor = WorkerExecutor(
            paths, service.library, service.core_settings, selection=selection, options=options, publisher=Publisher()
        )
        service._executor = executor
        made.append(service)
        return service

    yield make
    for service in made:
        service.close()
        service.host.close()


@pytest.fixture(scope="module")
def service(make_service: MakeService) -> Service:
    """One service for all tests of a module; every test must leave it usable, which is the point of most."""
    return make_service()
