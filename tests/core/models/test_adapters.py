"""Weights changed for a job and restored to the bit: whatever the change was, and whatever goes wrong meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gesso.contributions import Adapter
from gesso.errors import BadFileError, InvalidInputError
from gesso.models.adapters import AdapterKeys, AdapterPatch, AdapterTarget, find_adapter, patched
from gesso.models.model import Model
from gesso.service import Service
from gesso.types import Header, TensorInfo

UNET, TEXT = "mid_block.resnets.0.conv1.weight", "encoder.layers.0.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def model(service: Service, checkpoint: Path) -> Iterator[Model]:
    executor: Any = service.executor
    ref = service.library.ref(str(checkpoint))
    yield executor.residency.acquire(ref)
    executor.residency.release(ref)


def digests(model: Model) -> dict[str, str]:
    return {
        f"{part}.{name}": hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
        for part, component in model.components().items()
        for name, tensor in component.module.state_dict().items()
        if tensor.ndim
    }


def add(component: str, parameter: str, value: float = 0.5) -> AdapterPatch:
    return AdapterPatch(AdapterTarget(component, parameter), lambda weight, strength: weight + strength * value)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_weights_are_changed_and_come_back_to_the_bit(model: Model) -> None:
    before = digests(model)
    pairs = [(add("unet", UNET), 1.0), (add("clip_l", TEXT), -0.3), (add("unet", UNET, 0.1), 2.0)]
    for _ in range(2):
        weight = model.parts["unet"].module.get_parameter(UNET).clone()
        with patched(model, pairs):
            assert changed(before, digests(model)) == {f"unet.{UNET}", f"clip_l.{TEXT}"}
            now = model.parts["unet"].module.get_parameter(UNET)
            assert torch.allclose(now, weight + 0.5 + 0.2, atol=1e-3)
        assert changed(before, digests(model)) == set()


def test_strength_0_touches_nothing(model: Model) -> None:
    weight = model.parts["unet"].module.get_parameter(UNET)
    version = weight._version
    with patched(model, [(add("unet", UNET), 0.0)]):
        assert model.parts["unet"].module.get_parameter(UNET) is weight
    assert weight._version == version


def test_it_stands_on_what_another_plugin_has_changed_before(model: Model) -> None:
    before, weight = digests(model), model.parts["unet"].module.get_parameter(UNET).clone()
    with patched(model, [(add("unet", UNET), 1.0)]), patched(model, [(add("unet", UNET), 1.0)]):
        assert torch.allclose(model.parts["unet"].module.get_parameter(UNET), weight + 1.0, atol=1e-3)
    assert changed(before, digests(model)) == set()


def fails(weight: torch.Tensor, strength: float) -> torch.Tensor:
    raise RuntimeError("half-way")


@pytest.mark.parametrize(
    ("apply", "error"),
    [(fails, RuntimeError), (lambda weight, strength: weight[:1], InvalidInputError)],
    ids=["raises", "another shape"],
)
def test_a_patch_that_fails_half_way_leaves_nothing_changed(
    model: Model, apply: Callable[..., torch.Tensor], error: type[Exception]
) -> None:
    before = digests(model)
    bad = AdapterPatch(AdapterTarget("clip_l", TEXT), apply)
    with pytest.raises(error), patched(model, [(add("unet", UNET), 1.0), (bad, 1.0)]):
        raise AssertionError("not reached")
    assert changed(before, digests(model)) == set()


def test_a_layer_that_holds_no_plain_weight_is_refused(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = model.parts["unet"].module.get_submodule(UNET.rpartition(".")[0])
    whole = torch.nn.Parameter(torch.zeros(3, dtype=torch.int8), requires_grad=False)
    monkeypatch.setitem(holder._parameters, "weight", whole)
    with pytest.raises(InvalidInputError, match="is quantised"):
        model.parts["unet"].weights.change(UNET, lambda weight: weight)


def test_extra_memory_is_one_weight_at_a_time(model: Model) -> None:
    """Copies live only while their weight is changed."""
    alive: list[int] = []

    def count(weight: torch.Tensor, strength: float) -> torch.Tensor:
        import gc

        gc.collect()
        alive.append(sum(1 for o in gc.get_objects() if type(o) is torch.Tensor and o.dtype == torch.float32
                         and o.shape in shapes and not isinstance(o, torch.nn.Parameter)))  # fmt: skip
        return weight + strength

    names = [n for n, p in model.parts["unet"].module.named_parameters() if p.ndim == 4][:6]
    shapes = {model.parts["unet"].module.get_parameter(name).shape for name in names}
    with patched(model, [(AdapterPatch(AdapterTarget("unet", name), count), 1.0) for name in names]):
        pass
    assert len(alive) == 6
    assert max(alive) <= alive[0]  # not one more with each weight


@pytest.mark.parametrize(
    "spelling",
    ["model.diffusion_model.middle_block.0.in_layers.2.weight", "diffusion_model.middle_block.0.in_layers.2.weight",
     "lora_unet_middle_block_0_in_layers_2.weight", "lora_unet_mid_block_resnets_0_conv1.weight",
     "unet.mid_block.resnets.0.conv1.weight"],
)  # fmt: skip
def test_all_spellings_of_a_weight_are_understood(model: Model, spelling: str) -> None:
    (target,) = AdapterKeys(model).find(spelling)
    assert (target.component, target.parameter) == ("unet", UNET)


def test_text_encoders_have_theirs_and_strangers_are_remembered(model: Model) -> None:
    keys = AdapterKeys(model)
    for spelling in ("lora_te_text_model_encoder_layers_0_self_attn_q_proj.weight",
                     "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.weight"):  # fmt: skip
        (target,) = keys.find(spelling)
        assert (target.component, target.parameter) == ("clip_l", TEXT)
    assert keys.find("lora_unet_nothing.weight") == ()
    assert keys.missed == ["lora_unet_nothing.weight"]


def test_rows_and_transposition_of_the_checkpoints_layout_are_followed() -> None:
    from gesso.families import Rename

    fused = torch.arange(12.0).reshape(6, 2)
    second = AdapterTarget("x", "q", Rename(target="q", source="qkv", rows=(2, 4)))
    assert second.fit(fused, (2, 2)).tolist() == [[4, 5], [6, 7]]
    turned = AdapterTarget("x", "p", Rename(target="p", source="p", transform="transpose"))
    assert turned.fit(fused, (2, 6)).tolist() == fused.t().tolist()
    assert AdapterTarget("x", "c").fit(fused, (6, 2, 1, 1)).shape == (6, 2, 1, 1)


def test_the_kind_with_most_confidence_is_asked_and_none_is_an_error(service: Service) -> None:
    registry: Any = service.host.registry("adapters")
    made = TensorInfo(format="F32", shape=(2, 2), start=0, end=16)
    adapter, _ = find_adapter(Header(container="safetensors", tensors={"unet.x.diff": made}), registry)
    assert isinstance(adapter, Adapter)
    assert adapter.name == "diff"
    with pytest.raises(BadFileError, match="no adapter of a kind that is installed"):
        find_adapter(Header(container="safetensors", tensors={"x.lora_down.weight": made}), registry)
