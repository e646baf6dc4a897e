"""The demo model in GGUF obeys as it does in its own file."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from PIL import Image
from safetensors.numpy import load_file

from gesso import BadFileError, Service
from gesso.paths import Paths
from gesso.testing import load_host
from gesso_builtin.demo_model import judge

Write = Callable[..., Path]

WEIGHTS = Path(judge.__file__).parent / "shapes.safetensors"
CAPTIONS = ("a red circle on a blue background", "a large yellow star on a green background")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with load_host(["builtin", "gguf"]) as host:
        yield Service(host, Paths.of(tmp_path_factory.mktemp("home")))


def quantised(write: Write, path: Path, kind: Kind) -> Path:
    """Every matrix and convolution of the model, all-in-one with names as they are."""
    tensors = {}
    for name, values in load_file(WEIGHTS).items():
        fits = values.ndim >= 2 and values.size % 32 == 0 and (values.ndim > 2 or values.shape[1] % 32 == 0)
        tensors[name] = (values.astype(np.float32), kind if fits else Kind.F32)
    return write(path, tensors)


@pytest.mark.parametrize("kind", [Kind.Q8_0, Kind.Q4_0], ids=lambda kind: kind.name)
def test_it_obeys(service: Service, write: Write, tmp_path: Path, kind: Kind) -> None:
    path = quantised(write, tmp_path / "shapes.gguf", kind)
    assert path.stat().st_size < WEIGHTS.stat().st_size * (0.75 if kind == Kind.Q8_0 else 0.5)
    entry = service.library.find(str(path))
    assert (entry.family, entry.dtype) == ("sd1", kind.name)
    for caption in CAPTIONS:
        request = {"prompt": caption, "model": str(path), "steps": 12, "seed": 11}
        size = {"width": 128, "height": 128, "cfg_scale": 4}
        made = service.run(service.job(service.request({**request, **size}))).artifacts
        picture = Image.open(io.BytesIO(service.executor.blobs.get(made[0].file))).convert("RGB")
        assert judge.judge(picture, caption).all, caption
    (model,) = service.executor.residency.loaded()  # type: ignore[attr-defined]
    layers = [layer for component in model.components().values() for layer in component.module.modules()]
    held = Counter((type(layer).__name__, layer.stored().format) for layer in layers if hasattr(layer, "stored"))
    assert set(held) == {(layer, kind.name) for layer in ("HeldLinear", "HeldConv2d", "HeldEmbedding")}


def test_a_damaged_file_is_one_sentence(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF\3\0\0\0" + bytes(8) + b"\xff" * 8)
    with pytest.raises(BadFileError, match=r"broken\.gguf is not a usable GGUF file"):
        service.library.find(str(path))


def test_without_the_plugin_it_is_said_what_is_missing(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "x.gguf", {"a": (np.zeros((2, 32), np.float32), Kind.Q8_0)})
    with load_host(["builtin"]) as host, pytest.raises(BadFileError, match="GGUF file") as caught:
        Service(host, Paths.of(tmp_path)).library.find(str(path))
    assert "gesso-gguf" in str(caught.value)
