"""The demo model with the plugin, and the two files that `tools/shapes/train_lora.py` trained on the Shapes world."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from gesso import Service
from gesso.jobs.executors import InlineExecutor
from gesso.paths import Paths
from gesso.testing import load_host
from gesso.testing.adapters import digests
from gesso.types import JobEvent

DATA = Path(__file__).with_name("data")
USUAL = {"model": "shapes", "steps": 10, "seed": 7, "cfg_scale": 4, "sampler": "dpmpp_2m", "width": 128, "height": 128}
SMALL = {**USUAL, "steps": 2, "width": 64, "height": 64, "sampler": "euler"}


@dataclass
class Made:
    """What a job made."""

    file: bytes
    infotext: str
    events: list[JobEvent] = field(repr=False)

    @property
    def picture(self) -> Image.Image:
        return Image.open(io.BytesIO(self.file)).convert("RGB")

    @property
    def warnings(self) -> list[str]:
        return [event.data["message"] for event in self.events if event.kind == "warning"]


class Maker:
    """`make("prompt", **fields of a request)`: 128 × 128 in ten steps, or 64 × 64 in two with `small`."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def __call__(self, prompt: str, *, small: bool = False, **fields: Any) -> Made:
        return self.run({**(SMALL if small else USUAL), "prompt": prompt, **fields})

    def again(self, infotext: str) -> Made:
        fields, unknown = self.service.reuse(infotext)
        assert unknown == {}
        return self.run(fields)

    def run(self, fields: dict[str, Any]) -> Made:
        events: list[JobEvent] = []
        (made,) = self.service.run(self.service.job(self.service.request(fields)), events.append).artifacts
        return Made(self.service.executor.blobs.get(made.file), made.meta["infotext"], events)

    def weights(self) -> dict[str, str]:
        """Hashes of every weight of the model, which is loaded."""
        residency = self.service.executor.residency  # type: ignore[attr-defined]
        (model,) = residency.loaded()
        return digests(model)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    paths = Paths.of(tmp_path_factory.mktemp("home"))
    shutil.copytree(DATA, paths.models / "loras")
    return paths


@pytest.fixture(scope="session")
def make(home: Paths) -> Iterator[Maker]:
    with load_host(["builtin", "lora"]) as host:
        yield Maker(Service(host, home))


@pytest.fixture
def without(make: Maker, home: Paths) -> Iterator[Maker]:
    """The same without the plugin, on the same weights."""
    with load_host(["builtin"]) as host:
        executor = InlineExecutor(host, make.service.library, make.service.core_settings)
        executor._residency = make.service.executor.residency  # type: ignore[attr-defined]
        yield Maker(Service(host, home, executor))
