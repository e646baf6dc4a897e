"""Pictures of the demo model for the features' tests: one service for all, since the model in memory is shared."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gesso.jobs.executors import InlineExecutor
from gesso.paths import Paths
from gesso.plugins.host import Host, Selection
from gesso.service import Service
from gesso.types import Job, JobEvent

SMALL = {"prompt": "a red circle on a blue background", "model": "shapes", "steps": 3, "seed": 7, "cfg_scale": 4,
         "sampler": "euler", "width": 64, "height": 64}  # fmt: skip


@dataclass
class Made:
    """What a job made."""

    job: Job
    files: list[bytes]
    infotexts: list[str]
    events: list[JobEvent] = field(repr=False)

    @property
    def pictures(self) -> list[np.ndarray[Any, Any]]:
        """uint8 (H,W,3) each."""
        return [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in self.files]

    @property
    def picture(self) -> np.ndarray[Any, Any]:
        (only,) = self.pictures
        return only


class Demo:
    """Makes pictures of 64 × 64 in three steps, unless `fields` (those of a Request) say otherwise."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def beside(self, host: Host) -> Demo:
        """The same weights with another host: what it changes and leaves changed would show here too."""
        paths = self.service.paths
        executor = InlineExecutor(host, self.service.library, self.service.core_settings)
        executor._residency = self.service.executor.residency
        return Demo(Service(host, paths, executor))

    def job(self, **fields: Any) -> Job:
        return self.service.job(self.service.request({**SMALL, **fields}))

    def make(self, **fields: Any) -> Made:
        return self.run(self.job(**fields))

    def again(self, infotext: str) -> Made:
        """The picture of an infotext once more."""
        fields, unknown = self.service.reuse(infotext)
        assert unknown == {}
        return self.run(self.service.job(self.service.request(fields)))

    def take(self, picture: Image.Image, format: str = "PNG", **options: Any) -> dict[str, Any]:
        """Store a picture; what a record's field that takes one holds."""
        buffer = io.BytesIO()
        picture.save(buffer, format, **options)
        return self.service.take_picture(buffer.getvalue()).model_dump()

    def run(self, job: Job) -> Made:
        events: list[JobEvent] = []
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # for so little work, threads that wait for each other cost more than they bring
        try:
            artifacts = self.service.run(job, events.append).artifacts
        finally:
            torch.set_num_threads(threads)
        files = [self.service.executor.blobs.get(a.file) for a in artifacts]
        return Made(job, files, [a.meta["infotext"] for a in artifacts], events)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """All built-ins, jobs in this process."""
    paths = Paths.of(tmp_path_factory.mktemp("demo"))
    service = Service(Host.load("both", home=paths.home, selection=Selection(safe_mode=True)), paths)
    yield Demo(service)
    service.close()
