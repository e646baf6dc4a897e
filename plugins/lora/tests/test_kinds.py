"""What each kind of file, in each spelling, does to a weight: compared with its formula, written out here anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from gesso import (
    AdapterKeys,
    AdapterPatch,
    BadFileError,
    HeldLinear,
    InvalidInputError,
    Model,
    Weight,
    hold_weight,
    patched,
)
from gesso.models.adapters import find_adapter
from gesso.models.readers import SafetensorsReader
from gesso.testing import load_host
from gesso.testing.adapters import digests
from gesso.testing.studio import Studio
from gesso_lora.weights import cut

LINEAR = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
CONV = "mid_block.resnets.0.conv1"
TEXT = "encoder.layers.0.self_attn.q_proj"
KOHYA = f"lora_unet_{LINEAR.replace('.', '_')}"
KOHYA_CONV = f"lora_unet_{CONV.replace('.', '_')}"


@pytest.fixture(scope="module")
def host() -> Iterator[Any]:
    with load_host(["builtin", "lora"]) as made:
        yield made


@pytest.fixture(scope="module")
def model(host: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with Studio(host, tmp_path_factory.mktemp("studio")).loaded(host) as loaded:
        yield loaded


@pytest.fixture
def applied(host: Any, model: Model, tmp_path: Path) -> Callable[..., dict[str, tuple[Tensor, Tensor]]]:
    """Writes tensors into a file, applies it; `module name → (weight before, weight with it)`, and nothing stays."""

    def apply(
        tensors: dict[str, Tensor], strength: float = 1.0, metadata: dict[str, str] | None = None, rank: int = 0,
        kind: str = "",
    ) -> dict[str, tuple[Tensor, Tensor]]:  # fmt: skip
        path = tmp_path / "file.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
        reader, keys = SafetensorsReader(path), AdapterKeys(model)
        adapter, _ = find_adapter(reader.header, host.registry("adapters"))
        assert not kind or adapter.name == kind
        found = list(adapter.patches.load()(reader, keys))
        assert keys.missed == []
        found = [cut(patch, rank) for patch in found] if rank else found
        components, before = model.components(), digests(model)
        parameters = {
            patch.target.parameter: components[patch.target.component].module.get_parameter(patch.target.parameter)
            for patch in found
        }
        old = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        with patched(model, [(patch, strength) for patch in found]):
            made = {name: (old[name], parameter.detach().clone()) for name, parameter in parameters.items()}
        assert digests(model) == before
        return made

    return apply


def some(*shape: int) -> Tensor:
    torch.manual_seed(sum(shape))
    return torch.randn(shape) * 0.1


def close(pair: tuple[Tensor, Tensor], wanted: Tensor) -> None:
    torch.testing.assert_close(pair[1], wanted, atol=2e-5, rtol=2e-5)


A, B = some(4, 96), some(128, 4)
SPELLINGS = {
    "kohya": {f"{KOHYA}.lora_down.weight": A, f"{KOHYA}.lora_up.weight": B},
    "PEFT": {f"unet.{LINEAR}.lora_A.weight": A, f"unet.{LINEAR}.lora_B.weight": B},
    "PEFT with its adapter's name": {
        f"unet.{LINEAR}.lora_A.default.weight": A, f"unet.{LINEAR}.lora_B.default.weight": B,
    },
    "PEFT alone": {f"base_model.model.{LINEAR}.lora_A.weight": A, f"base_model.model.{LINEAR}.lora_B.weight": B},
    "diffusers 2023": {
        f"unet.{LINEAR.replace('attn2', 'attn2.processor')}_lora.down.weight": A,
        f"unet.{LINEAR.replace('attn2', 'attn2.processor')}_lora.up.weight": B,
    },
    "diffusers later": {f"unet.{LINEAR}.lora.down.weight": A, f"unet.{LINEAR}.lora.up.weight": B},
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_low_rank(applied: Any, spelling: str) -> None:
    pair = applied(SPELLINGS[spelling], 0.5, kind="lora")[f"{LINEAR}.weight"]
    close(pair, pair[0] + 0.5 * (B @ A))


@pytest.mark.parametrize(
    "prefix",
    ["lora_te_text_model_encoder_layers_0_self_attn_q_proj", f"text_encoder.text_model.{TEXT}",
     "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"],
)  # fmt: skip
def test_spellings_of_the_text_encoder(applied: Any, prefix: str) -> None:
    down, up = some(3, 96), some(96, 3)
    ends = ("lora_A", "lora_B") if "." in prefix else ("lora_down", "lora_up")
    pair = applied({f"{prefix}.{ends[0]}.weight": down, f"{prefix}.{ends[1]}.weight": up})[f"{TEXT}.weight"]
    close(pair, pair[0] + up @ down)


def test_old_names_of_the_text_encoder(applied: Any) -> None:
    down, up = some(3, 96), some(96, 3)
    name = "text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora"
    pair = applied({f"{name}.down.weight": down, f"{name}.up.weight": up})[f"{TEXT}.weight"]
    close(pair, pair[0] + up @ down)


def test_alpha_is_divided_by_the_rank(applied: Any) -> None:
    pair = applied({**SPELLINGS["kohya"], f"{KOHYA}.alpha": torch.tensor(2.0)})[f"{LINEAR}.weight"]
    close(pair, pair[0] + (2 / 4) * (B @ A))


@pytest.mark.parametrize(
    ("stated", "scale"),
    [
        ({"unet.lora_alpha": 8, "unet.r": 4}, 2.0),
        ({"unet.lora_alpha": 8, "unet.use_rslora": True}, 4.0),
        ({"unet.lora_alpha": 8, "unet.alpha_pattern": {LINEAR: 4}}, 1.0),
        ({"unet.lora_alpha": "eight"}, 1.0),
        ([], 1.0),
    ],
)
def test_alpha_in_the_metadata_of_diffusers(applied: Any, stated: Any, scale: float) -> None:
    pair = applied(SPELLINGS["PEFT"], metadata={"lora_adapter_metadata": json.dumps(stated)})[f"{LINEAR}.weight"]
    close(pair, pair[0] + scale * (B @ A))


def test_fewer_dimensions(applied: Any) -> None:
    pair = applied(SPELLINGS["kohya"], rank=2)[f"{LINEAR}.weight"]
    close(pair, pair[0] + B[:, :2] @ A[:2])


def test_locon(applied: Any) -> None:
    down, up = some(4, 128, 3, 3), some(128, 4, 1, 1)
    pair = applied({f"{KOHYA_CONV}.lora_down.weight": down, f"{KOHYA_CONV}.lora_up.weight": up})[f"{CONV}.weight"]
    close(pair, pair[0] + torch.einsum("or,rikl->oikl", up[..., 0, 0], down))


def test_locon_with_a_core_is_three_convolutions(applied: Any) -> None:
    down, mid, up = some(4, 128, 1, 1), some(4, 4, 3, 3), some(128, 4, 1, 1)
    names = {"lora_down": down, "lora_mid": mid, "lora_up": up}
    pair = applied({f"{KOHYA_CONV}.{name}.weight": tensor for name, tensor in names.items()})[f"{CONV}.weight"]
    x = some(1, 128, 5, 5)
    conv = torch.nn.functional.conv2d
    torch.testing.assert_close(
        conv(x, pair[1] - pair[0], padding=1), conv(conv(conv(x, down), mid, padding=1), up), atol=1e-4, rtol=1e-3
    )


def test_loha(applied: Any) -> None:
    parts = {"hada_w1_a": some(128, 4), "hada_w1_b": some(4, 96), "hada_w2_a": some(128, 4) + 0.1,
             "hada_w2_b": some(4, 96) - 0.1, "alpha": torch.tensor(2.0)}  # fmt: skip
    pair = applied({f"{KOHYA}.{name}": tensor for name, tensor in parts.items()}, kind="loha")[f"{LINEAR}.weight"]
    a, b, c, d, _ = parts.values()
    close(pair, pair[0] + 0.5 * ((a @ b) * (c @ d)))


def test_loha_of_convolutions_with_cores(applied: Any) -> None:
    parts = {"hada_t1": some(4, 4, 3, 3), "hada_w1_a": some(4, 128), "hada_w1_b": some(4, 128) + 0.1,
             "hada_t2": some(4, 4, 3, 3) + 0.1, "hada_w2_a": some(4, 128) - 0.1, "hada_w2_b": some(4, 128)}  # fmt: skip
    pair = applied({f"{KOHYA_CONV}.{name}": tensor for name, tensor in parts.items()})[f"{CONV}.weight"]
    t1, a1, b1, t2, a2, b2 = parts.values()
    first, second = (torch.einsum("rskl,ro,si->oikl", t, a, b) for t, a, b in ((t1, a1, b1), (t2, a2, b2)))
    close(pair, pair[0] + first * second)


def test_lokr(applied: Any) -> None:
    w1, w2 = some(4, 3), some(32, 32)
    whole = applied({f"{KOHYA}.lokr_w1": w1, f"{KOHYA}.lokr_w2": w2}, kind="lokr")[f"{LINEAR}.weight"]
    close(whole, whole[0] + torch.kron(w1, w2))
    a, b = some(32, 2), some(2, 32)
    tensors = {f"{KOHYA}.lokr_w1": w1, f"{KOHYA}.lokr_w2_a": a, f"{KOHYA}.lokr_w2_b": b}
    cut_down = applied({**tensors, f"{KOHYA}.alpha": torch.tensor(1.0)})[f"{LINEAR}.weight"]
    close(cut_down, cut_down[0] + 0.5 * torch.kron(w1, a @ b))
    kernel = some(32, 64, 3, 3)
    conv = applied({f"{KOHYA_CONV}.lokr_w1": some(4, 2), f"{KOHYA_CONV}.lokr_w2": kernel})[f"{CONV}.weight"]
    close(
        conv,
        conv[0]
        + torch.stack([torch.kron(some(4, 2), kernel[..., n // 3, n % 3]) for n in range(9)], -1).view_as(conv[0]),
    )


def test_dora(applied: Any) -> None:
    """Rows as long as the file says, whatever the difference is; at half strength half the way there."""
    tensors = {**SPELLINGS["PEFT"], f"unet.{LINEAR}.lora_magnitude_vector": torch.full((128,), 2.0)}
    pair = applied(tensors, kind="dora")[f"{LINEAR}.weight"]
    merged = pair[0] + B @ A
    close(pair, 2 * merged / merged.norm(dim=1, keepdim=True))
    half = applied(tensors, 0.5)[f"{LINEAR}.weight"]
    close(half, (pair[0] + pair[1]) / 2)
    columns = applied({**SPELLINGS["kohya"], f"{KOHYA}.dora_scale": torch.full((1, 96), 2.0)})[f"{LINEAR}.weight"]
    close(columns, 2 * merged / merged.norm(dim=0, keepdim=True))


def test_oft(applied: Any) -> None:
    """Groups of rows are turned: lengths and angles within a group stay, and the inverse turns them back."""
    blocks = some(16, 8, 8)
    pair = applied({f"{KOHYA}.oft_blocks": blocks}, kind="oft")[f"{LINEAR}.weight"]
    skew = blocks - blocks.mT
    turn = (torch.eye(8) + skew) @ torch.linalg.inv(torch.eye(8) - skew)
    grouped = pair[0].view(16, 8, 96)
    close(pair, torch.einsum("knm,kno->kmo", turn, grouped).reshape(128, 96))
    torch.testing.assert_close(pair[1].norm(), pair[0].norm())
    assert (pair[1] - pair[0]).abs().max() > 0.01
    limited = applied({f"{KOHYA}.oft_blocks": blocks, f"{KOHYA}.alpha": torch.tensor(1e-5)})[f"{LINEAR}.weight"]
    assert 0 < (limited[1] - limited[0]).norm() < 0.01 * (pair[1] - pair[0]).norm()
    direct = applied({f"{KOHYA}.oft_diag": turn})[f"{LINEAR}.weight"]
    close(direct, pair[1])


def test_differences_and_norms_beside_low_rank(applied: Any) -> None:
    norm, tensors = "lora_unet_mid_block_resnets_0_norm1", dict(SPELLINGS["kohya"])
    made = applied(
        {**tensors, f"{norm}.w_norm": some(128), f"{norm}.b_norm": some(128), f"{KOHYA_CONV}.diff_b": some(128)}
    )
    for name in ("mid_block.resnets.0.norm1.weight", "mid_block.resnets.0.norm1.bias", f"{CONV}.bias"):
        close(made[name], made[name][0] + some(128))


def test_files_made_for_something_else(applied: Any) -> None:
    with pytest.raises(InvalidInputError, match="another model"):
        applied({f"{KOHYA}.lora_down.weight": some(4, 768), f"{KOHYA}.lora_up.weight": some(320, 4)})
    with pytest.raises(BadFileError, match="rotations of shape"):
        applied({f"{KOHYA}.oft_blocks": some(3, 8, 8)})
    with pytest.raises(BadFileError, match="magnitudes"):
        applied({**SPELLINGS["kohya"], f"{KOHYA}.dora_scale": some(7, 1)})
    with pytest.raises(BadFileError, match="incomplete"):
        applied({f"{KOHYA}.hada_w1_a": some(128, 4), f"{KOHYA}.hada_w1_b": some(4, 96)})


def test_low_rank_beside_the_weights(host: Any, model: Model, tmp_path: Path) -> None:
    """The layer answers as if it were written in; the weight stays; on a quantised layer it is always so."""
    save_file(SPELLINGS["kohya"], tmp_path / "low.safetensors")
    save_file({**SPELLINGS["kohya"], f"{KOHYA}.dora_scale": torch.ones(128, 1)}, tmp_path / "dora.safetensors")
    low, dora = (_patch(host, model, tmp_path / name) for name in ("low.safetensors", "dora.safetensors"))
    unet, x = model.parts["unet"].module, some(2, 3, 96)
    before, plain = digests(model), unet.get_submodule(LINEAR)(x)
    with patched(model, [(low, 0.5)]):
        written = unet.get_submodule(LINEAR)(x)
    with patched(model, [(low, 0.25)], beside=True), patched(model, [(low, 0.25)], beside=True):
        assert digests(model) == before
        torch.testing.assert_close(unet.get_submodule(LINEAR)(x), written)
        with patched(model, [(dora, 1.0)]):  # stands on what was there before it, so all is written
            torch.testing.assert_close(
                unet.get_submodule(LINEAR).weight.norm(dim=1), torch.ones(128), atol=1e-4, rtol=1e-4
            )
        torch.testing.assert_close(unet.get_submodule(LINEAR)(x), written)
    assert digests(model) == before
    assert (unet.get_submodule(LINEAR)(x) == plain).all()
    _as_held(unet)
    with patched(model, [(low, 0.5)]):
        assert isinstance(unet.get_submodule(LINEAR), HeldLinear)
        torch.testing.assert_close(unet.get_submodule(LINEAR)(x), written)
    torch.testing.assert_close(unet.get_submodule(LINEAR)(x), plain)


def _patch(host: Any, model: Model, path: Path) -> AdapterPatch:
    reader = SafetensorsReader(path)
    adapter, _ = find_adapter(reader.header, host.registry("adapters"))
    (patch,) = adapter.patches.load()(reader, AdapterKeys(model))
    return patch


def _as_held(unet: torch.nn.Module) -> None:
    """The layer keeps its weight in a stored form (doubled); last in this file, since it stays so."""
    layer = unet.get_submodule(LINEAR)
    weight = Weight("halved", tuple(layer.weight.shape), {"data": layer.weight.detach() * 2})

    def decoded(stored: Weight, *, dtype: torch.dtype) -> Tensor:
        return (stored.data / 2).to(dtype)

    held = hold_weight(layer, "weight", weight, decoded, dtype=torch.float32, device=torch.device("cpu"))
    holder, _, name = LINEAR.rpartition(".")
    setattr(unet.get_submodule(holder), name, held)
