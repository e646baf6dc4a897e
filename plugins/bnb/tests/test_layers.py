"""What bitsandbytes saves is read and multiplied as it does itself; layers made at load stay near the model's."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from bitsandbytes import functional
from PIL import Image
from safetensors.torch import save_file

from gesso import BadFileError, InvalidInputError, Service, Weight
from gesso.models.readers import open_weights
from gesso.paths import Paths
from gesso.settings import CoreSettings
from gesso.testing import load_host
from gesso_bnb import layers, plugin
from gesso_bnb.layers import build_llm_int8, build_nf4, dequantise, quantised
from gesso_builtin.demo_model import judge

CPU = torch.device("cpu")
WEIGHTS = Path(judge.__file__).parent / "shapes.safetensors"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def some(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(9)) * 0.05


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("nested", [False, True], ids=["scales", "nested scales"])
def test_a_file_as_bitsandbytes_saves_it(tmp_path: Path, kind: str, nested: bool) -> None:
    packed, state = functional.quantize_4bit(some(128, 192), quant_type=kind, blocksize=64, compress_statistics=nested)
    parts = {f"a.weight.{key}": value for key, value in state.as_dict(packed=True).items()}
    path = tmp_path / "a.safetensors"
    save_file({"a.weight": packed, **parts}, path)
    wanted = functional.dequantize_4bit(packed, state)
    with load_host(["builtin", "bnb"]) as host:
        library = Service(host, Paths.of(tmp_path)).library
        reader = open_weights(path, library.header(path), host)
        weight, info = reader.read("a.weight"), reader.header.tensors["a.weight"]
        chosen = {
            wanted_by: host.choose("gesso_choose_operator", name="a.weight", info=info, wanted=wanted_by)
            for wanted_by in ("", kind, "quantised")
        }
        assert chosen == {"": kind, kind: kind, "quantised": None}
        own = host.registry("operators").get("quantised").dequantise.load()(weight, dtype=torch.float32)
    assert (info.format, info.shape) == (kind, (128, 192))
    assert torch.allclose(dequantise(weight, dtype=torch.float32), wanted, atol=1e-6)
    assert torch.allclose(own, wanted, atol=1e-6)  # gesso's own reading, without bitsandbytes
    assert torch.equal(
        dequantise(weight.cut(slice(64, 128)), dtype=torch.float32), dequantise(weight, dtype=torch.float32)[64:]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kind", "most"), [("nf4", 0.12), ("fp4", 0.2), ("llm_int8", 0.02)])
def test_made_of_ordinary_weights(kind: str, most: float, dtype: torch.dtype) -> None:
    build = getattr(layers, f"build_{kind}")
    wanted, bias = some(96, 128), some(96)
    with torch.device("meta"):
        linear, norm = torch.nn.Linear(128, 96), torch.nn.LayerNorm(4)
    layer = build(linear, "weight", Weight("F32", (96, 128), {"data": wanted}), dtype=dtype, device=CPU)
    layer = build(layer, "bias", Weight("F32", (96,), {"data": bias}), dtype=dtype, device=CPU)
    x = torch.linspace(-1, 1, 2 * 5 * 128).reshape(2, 5, 128)
    x[..., 7] *= 40  # an outlier
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        product = layer(x.to(dtype))
    exact = torch.nn.functional.linear(x, wanted, bias)
    assert product.dtype == dtype
    assert float((product.float() - exact).abs().max() / exact.abs().max()) < most
    assert layer.stored().format == kind
    assert build(norm, "weight", Weight("F16", (4,), {"data": torch.ones(4).half()}), dtype=dtype, device=CPU) is norm


def test_what_does_not_fit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = quantised("nf4", some(4, 64))
    weight.tensors["code"] = torch.linspace(-1, 1, 16)[None]
    with torch.device("meta"):
        linear = torch.nn.Linear(64, 4)
    with pytest.raises(BadFileError, match="code book of its own"):
        build_nf4(linear, "weight", weight, dtype=torch.float32, device=CPU)
    monkeypatch.setattr(layers, "why_not", lambda: "OSError: no such library")
    monkeypatch.setattr(plugin, "why_not", lambda: "OSError: no such library")
    with pytest.raises(InvalidInputError, match="no such library"):
        build_llm_int8(linear, "weight", weight, dtype=torch.float32, device=CPU)
    info = type("Info", (), {"format": "nf4"})()
    assert plugin.gesso_choose_operator("a", info, "") is None  # gesso's own operator reads it


CAPTIONS = (
    "a red circle on a blue background",
    "a large green heart on a white background",
    "a white ring on a black background",
)


@pytest.mark.parametrize("operator", ["nf4", "llm_int8"])
def test_the_demo_model_held_so_obeys(tmp_path: Path, operator: str) -> None:
    with load_host(["builtin", "bnb"]) as host:
        service = Service(host, Paths.of(tmp_path))
        service.settings.save("core", CoreSettings(operator=operator))
        right = 0
        for seed, caption in enumerate(CAPTIONS):
            request = {"prompt": caption, "model": "shapes", "steps": 12, "seed": seed}
            made = service.run(service.job(service.request(request))).artifacts
            picture = Image.open(io.BytesIO(service.executor.blobs.get(made[0].file))).convert("RGB")
            right += judge.judge(picture, caption).all
        model = service.executor.residency.loaded()[0]  # type: ignore[attr-defined]
    held = {name: {m.stored().format for m in component.module.modules() if hasattr(m, "stored")}
            for name, component in model.components().items()}  # fmt: skip
    assert held == {"unet": {operator}, "clip_l": set(), "vae": set()}
    assert right >= 2
