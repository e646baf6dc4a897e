"""Pictures of the demo model with this plugin and without it, from one set of weights."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gesso import Service
from gesso.jobs.executors import InlineExecutor
from gesso.paths import Paths
from gesso.testing import load_host
from gesso.types import JobEvent

SMALL = {"prompt": "a red circle on a blue background", "model": "shapes", "steps": 2, "seed": 7, "cfg_scale": 4,
         "sampler": "euler", "width": 64, "height": 64}  # fmt: skip


@dataclass
class Made:
    """What a job made."""

    files: list[bytes]
    infotexts: list[str]
    events: list[JobEvent] = field(repr=False)

    @property
    def picture(self) -> Image.Image:
        (only,) = self.files
        return Image.open(io.BytesIO(only)).convert("RGB")

    @property
    def pixels(self) -> np.ndarray[Any, Any]:
        return np.asarray(self.picture)


class Maker:
    """`make(**fields of a request)`; the second pass's fields as `hires={…}`."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def __call__(self, *, hires: dict[str, Any] | None = None, **fields: Any) -> Made:
        params = {} if hires is None else {"params": {"hires": {"enabled": True, **hires}}}
        return self.run({**SMALL, **params, **fields})

    def again(self, infotext: str) -> Made:
        fields, unknown = self.service.reuse(infotext)
        assert unknown == {}
        return self.run(fields)

    def run(self, fields: dict[str, Any]) -> Made:
        events: list[JobEvent] = []
        made = self.service.run(self.service.job(self.service.request(fields)), events.append).artifacts
        files = [self.service.executor.blobs.get(artifact.file) for artifact in made]
        return Made(files, [artifact.meta["infotext"] for artifact in made], events)

    def take(self, picture: Image.Image) -> dict[str, Any]:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return self.service.take_picture(buffer.getvalue()).model_dump()


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return Paths.of(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def make(home: Paths) -> Iterator[Maker]:
    with load_host(["builtin", "hires"]) as host:
        yield Maker(Service(host, home))


@pytest.fixture
def without(make: Maker, home: Paths) -> Iterator[Callable[..., Made]]:
    """The same without the plugin, on the same weights: what it changes and leaves changed would show here too."""
    with load_host(["builtin"]) as host:
        executor = InlineExecutor(host, make.service.library, make.service.core_settings)
        executor._residency = make.service.executor.residency
        yield Maker(Service(host, home, executor))
