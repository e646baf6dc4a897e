"""Several training processes as one: two single-threaded processes use two busy cores better than one with two threads.

Start them with `python -m torch.distributed.run --standalone --nproc-per-node 2 -m tools.shapes.train ... --threads 1`.
"""

import os

import torch
import torch.distributed as dist
from torch import Tensor, nn


def join_group() -> tuple[int, int]:
    """Rank and number of processes; joins torchrun's group when started by it, else (0, 1)."""
    if "RANK" not in os.environ:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("gloo")
    return dist.get_rank(), dist.get_world_size()


def gather(tensor: Tensor, ranks: int) -> Tensor:
    """The group's tensors one after another, by rank."""
    if ranks == 1:
        return tensor
    pieces = [torch.empty_like(tensor) for _ in range(ranks)]
    dist.all_gather(pieces, tensor.contiguous())
    return torch.cat(pieces)


def share_gradients(model: nn.Module, ranks: int) -> None:
    """Average all gradients over the group in one message."""
    if ranks == 1:
        return
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in grads])
    dist.all_reduce(flat)
    for grad, piece in zip(grads, (flat / ranks).split([g.numel() for g in grads]), strict=True):
        grad.copy_(piece.view_as(grad))
