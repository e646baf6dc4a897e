"""The plain operator."""

from __future__ import annotations

import pytest
import torch

from gesso import Weight
from gesso_builtin.operators.plain import build


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32, torch.float8_e4m3fn])
def test_floats_are_cast_and_nothing_stays_on_meta(stored: torch.dtype) -> None:
    with torch.device("meta"):
        module = torch.nn.Linear(8, 4)
    data = torch.randn(4, 8).to(stored)
    weight = Weight("F16", (4, 8), {"data": data})
    built = build(module, "weight", weight, dtype=torch.bfloat16, device=torch.device("cpu"))
    assert built is module
    assert module.weight.dtype == torch.bfloat16
    assert torch.equal(module.weight, data.to(torch.bfloat16))
    assert not module.weight.requires_grad


def test_integers_are_kept_and_buffers_stay_buffers() -> None:
    module = torch.nn.BatchNorm2d(3, device="meta")
    count = Weight("I64", (), {"data": torch.tensor(5)})
    build(module, "num_batches_tracked", count, dtype=torch.float16, device=torch.device("cpu"))
    assert module.num_batches_tracked.dtype == torch.int64
    assert "num_batches_tracked" in dict(module.named_buffers())


def test_a_weight_of_the_target_dtype_is_not_copied() -> None:
    data = torch.randn(4, 8)
    module = torch.nn.Linear(8, 4, device="meta")
    build(module, "weight", Weight("F32", (4, 8), {"data": data}), dtype=torch.float32, device=torch.device("cpu"))
    assert module.weight.data_ptr() == data.data_ptr()
