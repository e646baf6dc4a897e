"""Convolutions that look round the edges instead of beyond them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


@contextmanager
def circular(modules: Iterable[torch.nn.Module], *, across: bool, down: bool) -> Iterator[None]:
    """Every padded 2-D convolution in `modules` pads with the opposite edge, `across` (left, right) and `down`.

    Only what a convolution is given and its `padding` change, so it holds for whatever holds the weights, and is as it
    was afterwards.
    """
    with ExitStack() as undo:
        for module in modules:
            for layer in module.modules():
                if isinstance(layer, torch.nn.Conv2d) and layer.padding_mode == "zeros":
                    _wrap(layer, undo, across=across, down=down)
        yield


def _wrap(layer: torch.nn.Conv2d, undo: ExitStack, *, across: bool, down: bool) -> None:
    before: Any = layer.padding
    if isinstance(before, str):  # "same" and "valid": none of the models here has them
        return
    high, wide = (before[0] if down else 0), (before[1] if across else 0)
    if not high and not wide:
        return

    def pad(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (torch.nn.functional.pad(inputs[0], (wide, wide, high, high), mode="circular"), *inputs[1:])

    undo.callback(layer.register_forward_pre_hook(pad).remove)
    undo.callback(setattr, layer, "padding", before)
    layer.padding = (before[0] - high, before[1] - wide)
