"""GGUF and bitsandbytes files, through the readers of the plugins gguf and bnb."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from gesso import Service
from gesso.paths import Paths
from gesso.testing import load_host

pytest.importorskip("gesso_gguf", reason="the plugin gguf is not installed")
functional = pytest.importorskip("bitsandbytes.functional", reason="bitsandbytes is not installed")


def write_gguf(path: Path, tensors: dict[str, torch.Tensor], kind: Kind, arch: str, tokenizer: str = "") -> None:
    """Matrices in one type where their rows are whole blocks, everything else as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, arch)
    if tokenizer:
        pieces = json.loads(tokenizer)["model"]["vocab"]
        writer.add_array("tokenizer.ggml.tokens", [piece for piece, _ in pieces])
        writer.add_array("tokenizer.ggml.scores", [float(score) for _, score in pieces])
    for name, tensor in tensors.items():
        values = tensor.detach().float().contiguous().numpy()
        own = kind if values.ndim == 2 and values.shape[1] % 32 == 0 else Kind.F32
        writer.add_tensor(name, gguf.quants.quantize(values, own), raw_dtype=own)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()


def to_nf4(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As Forge's NF4 checkpoints: every matrix of the blocks packed, with its state beside it. Whole blocks make a row,
    as there (64 values, and rows of 3,072)."""
    made = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and "_blocks." in name:
            packed, state = functional.quantize_4bit(tensor.detach(), quant_type="nf4", blocksize=32)
            made[name] = packed
            made |= {f"{name}.{key}": value for key, value in state.as_dict(packed=True).items()}
        else:
            made[name] = tensor
    return made


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory, tiny: Any, layouts: Any) -> Iterator[Any]:
    home, dev = Paths.of(tmp_path_factory.mktemp("quantised")), tiny("dev")
    models = home.home / "models"
    layouts.write_modules(dev, models)
    names = layouts.to_bfl(dev)
    layouts.save(models / "checkpoints" / "plain.safetensors", names)
    for kind in (Kind.Q8_0, Kind.Q4_0):
        write_gguf(models / "checkpoints" / f"{kind.name}.gguf", names, kind, "flux")
    layouts.save(models / "checkpoints" / "nf4.safetensors", to_nf4(names))
    t5 = models / "text_encoders" / "t5-Q8_0.gguf"
    write_gguf(t5, layouts.llama_names(dev), Kind.Q8_0, "t5encoder", dev.tokenizer.to_str())
    plugins = ["builtin", "flux", "gguf"]
    with load_host(plugins) as host:
        yield layouts.Studio(Service(host, home), models)


@pytest.mark.parametrize(("name", "most"), [("Q8_0", 0.01), ("Q4_0", 0.12), ("nf4", 0.12)])
def test_held_as_stored_and_near_the_model(quantised: Any, tiny: Any, name: str, most: float) -> None:
    """Most of the error is what the type costs; fused matrices are cut without decoding them."""
    model, whole = quantised.load(name), tiny("dev").transformer.state_dict()
    transformer = model.parts["transformer"]
    assert (model.match.variant, transformer.dtype) == ("dev", torch.float32)
    for layer in ("transformer_blocks.0.attn.to_k", "single_transformer_blocks.1.proj_mlp"):
        assert transformer.module.get_submodule(layer).stored().format == name
    for key in ("transformer_blocks.1.attn.add_v_proj.weight", "norm_out.linear.weight", "x_embedder.bias"):
        got = transformer.weights.original(key)
        assert (got - whole[key]).norm() <= most * whole[key].norm(), key
    made = quantised(name).pixels
    assert abs(made - quantised("plain").pixels).mean() < 400 * most


def test_t5_in_gguf_brings_its_tokenizer(quantised: Any) -> None:
    made = quantised("plain", params={"flux": {"t5xxl": "t5-Q8_0"}})
    assert "T5: t5-Q8_0" in made.infotext
    assert abs(made.pixels - quantised("plain").pixels).mean() < 2
