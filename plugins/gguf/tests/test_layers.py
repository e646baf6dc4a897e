"""Layers that hold blocks multiply, convolve and look up what the blocks say, and give them back as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf import quants

from gesso import Rename, Weight
from gesso.models.model import Source, Weights, transformed
from gesso_gguf import layers
from gesso_gguf.layers import build, dequantise
from gesso_gguf.reader import GgufReader

Write = Callable[..., Path]

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def reader(write: Write, tmp_path_factory: pytest.TempPathFactory) -> GgufReader:
    rng = np.random.default_rng(3)

    def some(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) * 0.1).astype(np.float32)

    tensors = {
        "linear": (some(96, 64), Kind.Q4_0), "table": (some(40, 32), Kind.Q8_0), "plain": (some(5), Kind.F32),
        "whole": (some(8, 32, 3, 3), Kind.Q8_0), "split": (some(8, 4, 3, 3), Kind.Q5_0),
    }  # fmt: skip
    return GgufReader(write(tmp_path_factory.mktemp("gguf") / "layers.gguf", tensors))


def values(reader: GgufReader, name: str) -> torch.Tensor:
    weight = reader.copy(name)
    raw = weight.data.numpy().reshape(1, -1)
    return torch.from_numpy(quants.dequantize(raw, Kind[weight.format])).reshape(weight.shape)


def layer_of(
    reader: GgufReader, name: str, made: torch.nn.Module, dtype: torch.dtype = torch.float32
) -> torch.nn.Module:
    return build(made, "weight", reader.read(name), dtype=dtype, device=CPU)


def test_linear_embedding_and_convolutions(reader: GgufReader) -> None:
    with torch.device("meta"):
        kinds = {
            "linear": torch.nn.Linear(64, 96, bias=False), "table": torch.nn.Embedding(40, 32),
            "whole": torch.nn.Conv2d(32, 8, 3, padding=1, bias=False), "split": torch.nn.Conv2d(4, 8, 3, bias=False),
        }  # fmt: skip
    made = {name: layer_of(reader, name, kind) for name, kind in kinds.items()}
    x, ids, picture = torch.randn(2, 7, 64), torch.tensor([[0, 39], [5, 5]]), torch.randn(1, 32, 6, 5)
    assert torch.allclose(made["linear"](x), x @ values(reader, "linear").T, atol=1e-5)
    assert torch.equal(made["table"](ids), values(reader, "table")[ids])
    wanted = torch.nn.functional.conv2d(picture, values(reader, "whole"), padding=1)
    assert torch.allclose(made["whole"](picture), wanted, atol=1e-5)
    wanted = torch.nn.functional.conv2d(picture[:, :4], values(reader, "split"))
    assert torch.allclose(made["split"](picture[:, :4]), wanted, atol=1e-5)
    assert made["linear"].stored().data.data_ptr() == reader.read("linear").data.data_ptr()  # mapped, not copied
    assert reader.read("plain").data.tolist() == values(reader, "plain").tolist()


@pytest.mark.parametrize("rows", [1, 3, 65])
def test_few_rows_of_bf16(reader: GgufReader, rows: int) -> None:
    with torch.device("meta"):
        linear = torch.nn.Linear(64, 96)
    layer = layer_of(reader, "linear", linear, torch.bfloat16)
    layer.bias = torch.nn.Parameter(torch.ones(96, dtype=torch.bfloat16), requires_grad=False)
    x = torch.randn(rows, 1, 64).bfloat16()
    wanted = x.float() @ values(reader, "linear").T + 1
    product = layer(x)
    assert product.shape == (rows, 1, 96)
    assert product.dtype == torch.bfloat16
    assert float((product.float() - wanted).abs().max() / wanted.abs().max()) < 0.01
    fast = "AVX512" in torch.backends.cpu.get_cpu_capability() and rows <= layers.FEW
    assert ("int4" in layer._buffers) == fast


def test_large_weights_are_decoded_in_pieces(reader: GgufReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "PIECE", 32 * 7)
    for name in ("linear", "table", "split"):
        assert torch.equal(dequantise(reader.read(name), dtype=torch.float32), values(reader, name))


def test_fused_rows_are_cut_with_their_scales(reader: GgufReader) -> None:
    weight, all_values = reader.read("linear"), values(reader, "linear")
    part = transformed(weight, Rename(target="", source="", rows=(32, 64)), dequantise)
    assert part.format == "Q4_0"
    assert torch.equal(dequantise(part, dtype=torch.float32), all_values[32:64])
    turned = transformed(weight, Rename(target="", source="", transform="transpose"), dequantise)
    assert torch.equal(turned.data, all_values.T)
    flat = transformed(reader.read("split"), Rename(target="", source="", rows=(2, 4)), dequantise)
    assert torch.equal(flat.data, values(reader, "split")[2:4])  # its rows are no whole blocks: decoded


def test_an_adapter_changes_a_layer_and_leaves_no_trace(reader: GgufReader) -> None:
    with torch.device("meta"):
        module = torch.nn.Sequential(torch.nn.Linear(64, 96, bias=False))
    weights = Weights(module, torch.float32, CPU)
    weights.place(Source(Rename(target="0.weight", source="linear"), reader, build, dequantise))
    x = torch.randn(2, 64)
    before = module(x)
    weights.change("0.weight", lambda w: w * 2)
    assert torch.allclose(module(x), before * 2, atol=1e-5)
    weights.reload("0.weight")
    assert torch.equal(module(x), before)
    assert torch.equal(weights.original("0.weight"), values(reader, "linear"))


def test_a_weight_of_a_moved_layer_moves(tmp_path: Path) -> None:
    weight = Weight("Q8_0", (2, 32), {"data": torch.zeros(2, 34, dtype=torch.uint8)})
    with torch.device("meta"):
        linear = torch.nn.Linear(32, 2, bias=False)
    layer = build(linear, "weight", weight, dtype=torch.float32, device=CPU)
    assert layer.to("meta").stored().data.is_meta
