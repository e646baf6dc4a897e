"""Demo pictures: the same tiny job with and without a plugin, on one loaded model. Imports torch and diffusers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from gesso.errors import InvalidInputError
from gesso.jobs.executors import InlineExecutor
from gesso.models.model import Model
from gesso.models.residency import Residency
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service
from gesso.testing.adapters import digests


def demo_model(host: Host, home: Path) -> str:
    """The name of the demo model that a plugin of this host brings, "" when its file is not there."""
    entries = Service(host, Paths.of(home)).library.entries()
    return next((entry.name for entry in entries if entry.built_in and entry.state == "ok"), "")


class Studio:
    """Makes pictures with any host on one set of weights: a patch that is not undone shows in the next picture."""

    def __init__(self, host: Host, home: Path) -> None:
        self._home = home
        service = Service(host, Paths.of(home))
        self.model = demo_model(host, home)
        if not self.model:
            raise InvalidInputError("There is no demo model.", hint="Install the whole wheel of gesso.")
        self._residency = Residency(host, service.library, device="cpu", dtype="fp32")

    def picture(self, host: Host, **fields: Any) -> Image.Image:
        """One picture of 64 × 64 in two steps; `fields` are those of a Request. Raises what the job raises."""
        service = Service(host, Paths.of(self._home))
        executor = _Shared(host, service.library, service.core_settings, self._residency)
        asked = {"prompt": "a red circle on a blue background", "model": self.model, "steps": 2, "seed": 7,
                 "width": 64, "height": 64, "sampler": "euler", **fields}  # fmt: skip
        job = service.job(service.request(asked))
        artifacts = executor.run(job, lambda event: None)
        return Image.open(io.BytesIO(executor.blobs.get(artifacts[0].file))).convert("RGB")

    @contextmanager
    def loaded(self, host: Host) -> Iterator[Model]:
        """The demo model, held meanwhile."""
        ref = Service(host, Paths.of(self._home)).library.ref(self.model)
        model = self._residency.acquire(ref)
        try:
            yield model
        finally:
            self._residency.release(ref)

    def weights(self, host: Host) -> dict[str, str]:
        """Parameter or buffer of the demo model → SHA-256 of its bytes."""
        with self.loaded(host) as model:
            return digests(model)


class _Shared(InlineExecutor):
    """Runs jobs of one host on another's loaded models."""

    def __init__(self, host: Host, library: Any, settings: Any, residency: Residency) -> None:
        super().__init__(host, library, settings)
        self._residency = residency
