"""Quantised layers of the files people hold: read as one weight, cut apart with their scales, multiplied as held."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gesso import BadFileError, Rename
from gesso.models.library import Library
from gesso.models.model import Source, Weights, transformed
from gesso.models.readers import open_weights
from gesso.plugins.host import Host
from gesso_builtin.operators.decode import build, build_fp8, dequantise
from gesso_builtin.operators.plain import build as build_plain

Make = Callable[[str, torch.Tensor], dict[str, torch.Tensor]]
Nf4 = Callable[..., dict[str, torch.Tensor]]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host.load("both", home=tmp_path_factory.mktemp("home"), probe=False)
    yield host
    host.close()


def weights(shape: tuple[int, int] = (192, 128)) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5)) * 0.05


def opened(host: Host, path: Path):  # type: ignore[no-untyped-def]
    header = Library(host, path.parent / "cache.sqlite3").header(path)
    return open_weights(path, header, host)


def test_one_entry_a_weight_with_its_values(layout: tuple[Make, float], host: Host, tmp_path: Path) -> None:
    make, most = layout
    plain, wanted = torch.ones(3), weights()
    save_file({"a.bias": plain, **make("a", wanted), "scaled_fp8": torch.zeros(2)}, tmp_path / "q.safetensors")
    reader = opened(host, tmp_path / "q.safetensors")
    assert set(reader.header.tensors) == {"a.bias", "a.weight"}
    assert reader.header.shape("a.weight") == (192, 128)
    weight = reader.read("a.weight")
    values = dequantise(weight, dtype=torch.float32)
    assert float((values - wanted).abs().max() / wanted.abs().max()) < most
    assert torch.equal(dequantise(reader.copy("a.weight"), dtype=torch.float32), values)

    for rename in (
        Rename(target="", source="", rows=(64, 128)),
        Rename(target="", source="", transform="swap_halves"),
        Rename(target="", source="", transform="transpose"),
    ):
        part = transformed(weight, rename, dequantise)
        expected = {"same": values[64:128], "swap_halves": values.roll(96, 0), "transpose": values.t()}
        got = part.data if part.is_plain else dequantise(part, dtype=torch.float32)
        assert torch.equal(got, expected[rename.transform])
        assert part.is_plain == (rename.transform == "transpose")
    reader.release(["a.weight"])
    reader.restore("a.weight")
    reader.close()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layers_multiply_what_they_hold(
    layout: tuple[Make, float], host: Host, tmp_path: Path, dtype: torch.dtype
) -> None:
    make, _ = layout
    save_file(make("a", weights()), tmp_path / "q.safetensors")
    weight = opened(host, tmp_path / "q.safetensors").read("a.weight")
    values = dequantise(weight, dtype=torch.float32)
    with torch.device("meta"):
        linear, table = torch.nn.Linear(128, 192, bias=False), torch.nn.Embedding(192, 128)
    held = build(linear, "weight", weight, dtype=dtype, device=CPU)
    x = torch.linspace(-1, 1, 5 * 128).reshape(1, 5, 128).to(dtype)
    expected = x.float() @ values.T
    assert held(x).dtype == dtype
    assert float((held(x).float() - expected).abs().max() / expected.abs().max()) < (
        1e-6 if dtype == torch.float32 else 0.02
    )
    assert isinstance(held, torch.nn.Linear)
    assert not list(held.parameters())
    looked = build(table, "weight", weight, dtype=torch.float32, device=CPU)
    ids = torch.tensor([[3, 0], [190, 3]])
    assert torch.equal(looked(ids), values[ids])


def test_a_large_layer_is_decoded_in_pieces(host: Host) -> None:
    from gesso.operators import held as module

    wanted = weights((300, 64))
    with torch.device("meta"):
        linear = torch.nn.Linear(64, 300)
    layer = build_fp8(linear, "weight", _plain(wanted), dtype=torch.float32, device=CPU)
    build_plain(layer, "bias", _plain(torch.arange(300.0)), dtype=torch.float32, device=CPU)
    x = torch.randn(7, 64)
    whole = torch.nn.functional.linear(x, layer.weight, layer.bias)
    before, module.CHUNK = module.CHUNK, 64 * 70
    try:
        assert torch.allclose(layer(x), whole, atol=1e-4)
    finally:
        module.CHUNK = before
    assert float((layer.weight - wanted).abs().max()) < 0.04 * float(wanted.abs().max())


def _plain(data: torch.Tensor):  # type: ignore[no-untyped-def]
    from gesso import Weight

    return Weight("F32", tuple(data.shape), {"data": data})


def test_an_adapter_changes_a_held_layer_and_leaves_no_trace(
    layout: tuple[Make, float], host: Host, tmp_path: Path
) -> None:
    make, _ = layout
    save_file({**make("a", weights()), "a.bias": torch.ones(192)}, tmp_path / "q.safetensors")
    reader = opened(host, tmp_path / "q.safetensors")
    with torch.device("meta"):
        module = torch.nn.Sequential()
        module.add_module("a", torch.nn.Linear(128, 192))
    held = Weights(module, torch.float32, CPU)
    for name in ("a.weight", "a.bias"):
        held.place(Source(Rename(target=name, source=name), reader, build, dequantise, build_plain))
    layer, x = module.a, torch.randn(3, 128)
    before, values = module(x), layer.weight
    assert torch.equal(held.original("a.weight"), values)
    held.change("a.bias", lambda b: b * 2)
    held.change("a.weight", lambda w: w + 1)
    assert torch.allclose(module(x), torch.nn.functional.linear(x, values + 1, torch.full((192,), 2.0)), atol=1e-3)
    held.reload("a.bias")
    held.reload("a.weight")
    assert module.a is layer
    assert torch.equal(module(x), before)


@pytest.mark.parametrize("nested", [False, True])
def test_blocks_that_end_within_rows(nf4: Nf4, host: Host, tmp_path: Path, nested: bool) -> None:
    """They run over the whole weight, and the last one may be shorter."""
    wanted = weights((6, 50))
    save_file(nf4("a", wanted, nested=nested), tmp_path / "q.safetensors")
    weight = opened(host, tmp_path / "q.safetensors").read("a.weight")
    assert not weight.by_rows
    values = dequantise(weight, dtype=torch.float32)
    assert float((values - wanted).abs().max() / wanted.abs().max()) < 0.2
    part = transformed(weight, Rename(target="", source="", rows=(2, 4)), dequantise)
    assert torch.equal(part.data, values[2:4])


HOSTILE = {
    "no shape": {"quant_type": "nf4", "blocksize": 64},
    "another shape": {"blocksize": 64, "shape": [192, 256]},
    "no blocks": {"blocksize": 0, "shape": [192, 128]},
    "blocks of 48": {"blocksize": 48, "shape": [192, 128]},
    "a negative side": {"blocksize": 64, "shape": [-192, -128]},
}


@pytest.mark.parametrize("state", HOSTILE.values(), ids=HOSTILE)
def test_a_description_that_does_not_fit_is_refused(host: Host, tmp_path: Path, state: dict[str, object]) -> None:
    name = "a.weight.quant_state.bitsandbytes__nf4"
    tensors = {"a.weight": torch.zeros(192 * 64, 1, dtype=torch.uint8), "a.weight.absmax": torch.zeros(384),
               "a.weight.quant_map": torch.zeros(16)}  # fmt: skip
    tensors[name] = torch.frombuffer(bytearray(json.dumps(state).encode()), dtype=torch.uint8)
    save_file(tensors, tmp_path / "q.safetensors")
    with pytest.raises(BadFileError, match=r"a\.weight"):
        opened(host, tmp_path / "q.safetensors")


@pytest.mark.parametrize("state", [b"[]", b"{", b'{"format": "secret"}', b'{"format": "mxfp8"}'])
def test_an_unknown_layout_is_named(host: Host, tmp_path: Path, state: bytes) -> None:
    tensors = {"a.weight": torch.zeros(32, 32, dtype=torch.float8_e4m3fn), "a.weight_scale": torch.ones(3),
               "a.comfy_quant": torch.frombuffer(bytearray(state), dtype=torch.uint8)}  # fmt: skip
    save_file(tensors, tmp_path / "q.safetensors")
    with pytest.raises(BadFileError, match=r"'a\."):
        opened(host, tmp_path / "q.safetensors")
