"""Pictures through gesso itself, as `gesso generate` makes them: what `score` measures unless told otherwise."""

import io
import tempfile
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from PIL import Image

from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service
from tools.shapes.generate import Generator


def gesso_generator(weights: Path, **fields: Any) -> Generator:
    """A generator over the single file `weights`; `fields` are those of a request, all others start from the model."""
    paths = Paths.of(tempfile.mkdtemp())
    service = Service(Host.load("both", home=paths.home), paths)

    def generate(captions: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
        pictures = []
        for caption, jobs in groupby(zip(captions, seeds, strict=True), key=itemgetter(0)):
            own = [seed for _, seed in jobs]
            if own != list(range(own[0], own[0] + len(own))):
                raise ValueError(f"the seeds of one caption in a row must count up, not {own}")
            given = {"prompt": caption, "seed": own[0], "batch_size": len(own), "model": str(weights), **fields}
            artifacts = service.run(service.job(service.request(given))).artifacts
            pictures += [Image.open(io.BytesIO(service.executor.blobs.get(a.file))).convert("RGB") for a in artifacts]
        return pictures

    return generate
