"""The demo model in fp8 and NF4 files obeys as it does in its own; an operator on request does, too."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from gesso import UnknownNameError
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service
from gesso.settings import CoreSettings
from gesso_builtin.demo_model import judge

WEIGHTS = Path(judge.__file__).parent / "shapes.safetensors"
CAPTIONS = ("a red circle on a blue background", "a large green heart on a white background")
SIZE = {"width": 128, "height": 128, "cfg_scale": 4}
Make = Callable[[str, torch.Tensor], dict[str, torch.Tensor]]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    service = Service(Host.load("both", home=home, probe=False), Paths.of(home))
    yield service
    service.close()


def converted(path: Path, make: Make) -> Path:
    """The UNet's and text encoder's matrices as `make` writes them."""
    tensors: dict[str, torch.Tensor] = {}
    for name, value in load_file(WEIGHTS).items():
        fits = value.ndim == 2 and name.endswith(".weight") and "embedding" not in name and value.shape[1] % 64 == 0
        tensors |= make(name.removesuffix(".weight"), value.float()) if fits else {name: value}
    save_file(tensors, path)
    return path


def obeyed(service: Service, **fields: Any) -> int:
    right = 0
    for seed, caption in enumerate(CAPTIONS):
        request = {"prompt": caption, "steps": 12, "seed": seed, **SIZE, **fields}
        made = service.run(service.job(service.request(request))).artifacts
        picture = Image.open(io.BytesIO(service.executor.blobs.get(made[0].file))).convert("RGB")
        right += judge.judge(picture, caption).all
    return right


def held(service: Service) -> set[str]:
    (model,) = service.executor.residency.loaded()  # type: ignore[attr-defined]
    modules = [layer for component in model.components().values() for layer in component.module.modules()]
    return {layer.stored().format for layer in modules if hasattr(layer, "stored")}


@pytest.mark.parametrize("kind", ["fp8_scaled", "nf4"])
def test_a_quantised_file(service: Service, fp8: Make, nf4: Make, tmp_path: Path, kind: str) -> None:
    path = converted(tmp_path / "shapes.safetensors", {"fp8_scaled": fp8, "nf4": nf4}[kind])
    assert service.library.find(str(path)).family == "sd1"
    assert obeyed(service, model=str(path)) == 2
    assert held(service) == {kind}


def test_an_operator_on_request(tmp_path: Path) -> None:
    service = Service(Host.load("both", home=tmp_path, probe=False), Paths.of(tmp_path))
    service.settings.save("core", CoreSettings(operator="fp8"))
    assert obeyed(service, model="shapes") == 2
    assert held(service) == {"fp8_scaled"}
    service.close()


def test_an_operator_nobody_has(tmp_path: Path) -> None:
    service = Service(Host.load("both", home=tmp_path, probe=False), Paths.of(tmp_path))
    service.settings.save("core", CoreSettings(operator="fp9"))
    with pytest.raises(UnknownNameError, match="fp9"):
        obeyed(service, model="shapes")
    service.close()
