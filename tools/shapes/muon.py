"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/): momentum whose update is orthogonalised.

Own code and not torch.optim.Muon, because that one takes only matrices, and here the costly part is shared out over the
processes of the group. Updates are scaled to AdamW's usual size (Liu et al. 2025, arXiv:2502.16982).
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: Tensor, rounds: int) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly: singular values of a [m, n] matrix go to about one (bfloat16)."""
    a, b, c = _NEWTON_SCHULZ
    x: Tensor = matrix.bfloat16()
    if tall := x.shape[0] > x.shape[1]:
        x = x.mT
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(rounds):
        square: Tensor = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """For matrices and convolution kernels (flattened to [out, rest]) of hidden layers.

    Every process keeps all momenta and orthogonalises its share of the updates; a checkpoint of one process is whole.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        rounds: int = 4,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "rounds": rounds})
        self.rank, self.ranks = rank, ranks

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure is ever called
        """Apply one update from the gradients, which the group has already averaged."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            owners = _share_out(params, self.ranks)
            updates = []
            for p, owner in zip(params, owners, strict=True):
                gradient = p.grad.flatten(1)
                momentum = self.state[p].setdefault("momentum_buffer", torch.zeros_like(gradient))
                momentum.lerp_(gradient, 1 - group["momentum"])
                if owner == self.rank:
                    update = orthogonalise(gradient.lerp(momentum, group["momentum"]), group["rounds"]).float()
                    updates.append(update * 0.2 * math.sqrt(max(update.shape)))
                else:
                    updates.append(torch.zeros_like(gradient))
            if self.ranks > 1:
                flat = torch.cat([u.flatten() for u in updates])
                dist.all_reduce(flat)
                updates = list(flat.split([u.numel() for u in updates]))
            for p, update in zip(params, updates, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(update.view_as(p), alpha=group["lr"])


def _share_out(params: list[nn.Parameter], ranks: int) -> list[int]:
    """Which process orthogonalises which parameter: the largest first, each to the least busy process."""
    load, owners = [0] * ranks, [0] * len(params)
    for index in sorted(range(len(params)), key=lambda i: -params[i].numel()):
        owners[index] = load.index(min(load))
        load[owners[index]] += params[index].numel()
    return owners
