"""Families and variants by header alone, and the schedules that follow from markers and metadata."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler

from gesso import BadFileError, Header, Match, TensorInfo
from gesso.models.detect import detect
from gesso_builtin.stable_diffusion import sampling
from gesso_builtin.stable_diffusion.recognise import SD2_NORM


def header(tensors: dict[str, torch.Tensor] | dict[str, tuple[int, ...]], **metadata: str) -> Header:
    shapes = {name: tuple(getattr(value, "shape", value)) for name, value in tensors.items()}
    infos = {name: TensorInfo(format="F16", shape=shape, start=0, end=0) for name, shape in shapes.items()}
    return Header(container="safetensors", tensors=infos, metadata=metadata)


def found(host: Any, tensors: dict[str, Any], **metadata: str) -> Match:
    return detect(header(tensors, **metadata), host)


@pytest.mark.parametrize(
    ("name", "family", "variant"),
    [("sd1", "sd1", "base"), ("sd2", "sd2", "base"), ("sdxl", "sdxl", "base"), ("refiner", "sdxl", "refiner")],
)
def test_families(host: Any, name: str, family: str, variant: str, request: pytest.FixtureRequest) -> None:
    match = found(host, request.getfixturevalue(name).tensors)
    assert (match.family, match.variant, match.prediction) == (family, variant, "eps")


@pytest.mark.parametrize(("channels", "variant"), [(4, "base"), (8, "ip2p"), (9, "inpaint")])
@pytest.mark.parametrize("name", ["sd1", "sdxl"])
def test_variants(host: Any, name: str, channels: int, variant: str, request: pytest.FixtureRequest) -> None:
    tensors = dict(request.getfixturevalue(name).tensors)
    tensors["model.diffusion_model.input_blocks.0.0.weight"] = torch.empty(32, channels, 3, 3)
    assert found(host, tensors).variant == variant


def test_real_refiner_by_shape(host: Any, sdxl: Any) -> None:
    """Its text is 1280 wide wherever its encoder stands."""
    tensors = {
        name: torch.empty(*tensor.shape[:-1], 1280) if name.endswith("attn2.to_k.weight") else tensor
        for name, tensor in sdxl.tensors.items()
    }
    assert found(host, tensors).variant == "refiner"


def test_a_label_embedding_alone_is_not_sdxl(host: Any, sdxl: Any) -> None:
    tensors = {name: tensor for name, tensor in sdxl.tensors.items() if not name.startswith("conditioner.")}
    with pytest.raises(BadFileError, match="model family that no plugin here knows"):
        found(host, tensors)


@pytest.mark.parametrize(
    ("extra", "metadata", "prediction", "details"),
    [
        ({}, {}, "eps", {}),
        ({"v_pred": (0,)}, {}, "v", {}),
        ({"v_pred": (0,), "ztsnr": (0,)}, {}, "v", {"ztsnr": True}),
        ({}, {"modelspec.prediction_type": "v"}, "v", {}),
        ({}, {"modelspec.prediction_type": "epsilon"}, "eps", {}),
        ({"edm_vpred.sigma_max": (1,), "edm_vpred.sigma_min": (1,)}, {}, "v", {"edm": "v"}),
        ({"edm_mean": (4,), "edm_std": (4,)}, {}, "eps", {"edm": "playground"}),
    ],
)
def test_markers(
    host: Any, sdxl: Any, extra: dict[str, Any], metadata: dict[str, str], prediction: str, details: dict[str, Any]
) -> None:
    match = found(host, {**sdxl.tensors, **extra}, **metadata)
    assert (match.prediction, match.details) == (prediction, details)


def test_sd2_asks_when_nothing_says_it(host: Any, sd2: Any) -> None:
    assert found(host, sd2.tensors).questions == ("prediction",)
    assert found(host, sd2.tensors, **{"modelspec.prediction_type": "v"}).questions == ()


@pytest.mark.parametrize(("spread", "kind"), [(0.05, "eps"), (0.2, "v")])
def test_sd2_by_the_spread_of_a_norm(spread: float, kind: str) -> None:
    values = tuple((torch.randn(320, generator=torch.Generator().manual_seed(0)) * spread).tolist())
    match = Match(family="sd2", variant="base", questions=("prediction",), details={SD2_NORM: values})
    assert sampling.sd2(match).kind == kind


def table(**options: Any) -> np.ndarray:
    made = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, **options
    )
    alphas = made.alphas_cumprod.double().numpy()
    return np.sqrt((1 - alphas) / alphas)


def test_schedule() -> None:
    ours = sampling.sdxl(Match(family="sdxl", variant="base")).sigmas.numpy()
    np.testing.assert_allclose(ours, table(), rtol=2e-5)  # theirs is cumulated in float32


def test_zero_terminal_snr() -> None:
    """All but the last step as diffusers has it; there a finite stand-in is a convention, ours being ComfyUI's."""
    ours = sampling.sdxl(Match(family="sdxl", variant="base", prediction="v", details={"ztsnr": True}))
    np.testing.assert_allclose(ours.sigmas[:-1].numpy(), table(rescale_betas_zero_snr=True)[:-1], rtol=2e-3)
    assert ours.kind == "v"
    assert ours.sigma_max == pytest.approx((1 / 4.8973451890853435e-08 - 1) ** 0.5)


def test_edm_ranges() -> None:
    plain = sampling.sdxl(Match(family="sdxl", variant="base", details={"edm": "v"}))
    assert (plain.sigma_min, plain.sigma_max) == pytest.approx((0.002, 120.0))
    stated = {"edm": "v", "edm_vpred.sigma_max": (50.0,), "edm_vpred.sigma_min": (0.01,)}
    given = sampling.sdxl(Match(family="sdxl", variant="base", details=stated))
    assert (given.sigma_min, given.sigma_max) == pytest.approx((0.01, 50.0))
    playground = sampling.sdxl(Match(family="sdxl", variant="base", details={"edm": "playground"}))
    assert (playground.sigma_min, playground.sigma_max) == pytest.approx((0.002, 80.0))
