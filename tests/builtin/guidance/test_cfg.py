"""Classifier-free guidance."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from gesso import CondEntry
from gesso_builtin.guidance.cfg import guide, rescaled
from gesso_builtin.guidance.plugin import CfgOptions

X = torch.zeros(2, 4, 8, 8)


def entry(value: float, weight: float = 1.0) -> CondEntry:
    return CondEntry({"context": torch.full((1, 77, 8), value)}, weight=weight)


def predict(x: torch.Tensor, sigma: float, entries: Sequence[CondEntry]) -> list[torch.Tensor]:
    """Each entry's prediction is its own value, with a pattern so that the deviation is not zero."""
    ramp = torch.linspace(-1, 1, x[0].numel()).reshape(x[0].shape).expand_as(x)
    return [e.tensors["context"][0, 0, 0] * (1 + ramp) for e in entries]


def run(positive: list[CondEntry], negative: list[CondEntry], scale: float, rescale: float = 0.0) -> torch.Tensor:
    options = CfgOptions(rescale=rescale)
    return guide(predict, X, 1.0, positive=positive, negative=negative, scale=scale, options=options).x0


def test_the_formula() -> None:
    c, u = predict(X, 1.0, [entry(2.0), entry(0.5)])
    torch.testing.assert_close(run([entry(2.0)], [entry(0.5)], 7.0), u + 7 * (c - u))


def test_scale_one_asks_once_and_scale_zero_is_unconditional() -> None:
    asked: list[int] = []

    def counting(x: torch.Tensor, sigma: float, entries: Sequence[CondEntry]) -> list[torch.Tensor]:
        asked.append(len(entries))
        return predict(x, sigma, entries)

    made = guide(counting, X, 1.0, positive=[entry(2.0)], negative=[entry(0.5)], scale=1, options=CfgOptions())
    assert asked == [1]
    assert made.uncond_x0 is None
    torch.testing.assert_close(run([entry(2.0)], [entry(0.5)], 0.0), predict(X, 1.0, [entry(0.5)])[0])


def test_composable_prompts_add_their_differences() -> None:
    a, b, u = predict(X, 1.0, [entry(2.0), entry(-1.0), entry(0.5)])
    made = run([entry(2.0, 1.2), entry(-1.0, -0.5)], [entry(0.5)], 3.0)
    torch.testing.assert_close(made, u + 3 * (1.2 * (a - u) - 0.5 * (b - u)))


@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_rescale_pulls_the_deviation_to_the_conditional_one(amount: float) -> None:
    cond = predict(X, 1.0, [entry(2.0)])[0]
    plain = run([entry(2.0)], [entry(0.5)], 7.0)
    made = run([entry(2.0)], [entry(0.5)], 7.0, amount)
    expected = amount * cond.std((1, 2, 3)) + (1 - amount) * plain.std((1, 2, 3))
    torch.testing.assert_close(made.std((1, 2, 3)), expected)
    torch.testing.assert_close(rescaled(plain, cond, amount), made)
