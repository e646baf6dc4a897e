"""What every training stage shares: checkpoints that survive a kill, progress lines, learning-rate shapes."""

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file whole: to a temporary name, synced, then renamed over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part, metadata)
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())
    part.replace(path)


def save_checkpoint(
    path: Path, step: int, modules: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
) -> None:
    """Store module weights and optimizer moments at `step`, without pickling."""
    tensors: dict[str, Tensor] = {"step": torch.tensor(step)}
    for name, module in modules.items():
        tensors |= {f"module.{name}.{k}": v for k, v in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{name}.{index}.{k}": torch.as_tensor(v) for k, v in slots.items()}
    write_tensors(path, {k: v.clone() for k, v in tensors.items()})


def load_checkpoint(
    path: Path, modules: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer] | None = None
) -> int:
    """Restore what `save_checkpoint` wrote and return its step; 0 when there is no checkpoint yet."""
    if not path.exists():
        return 0
    tensors = load_file(path)
    for name, module in modules.items():
        prefix = f"module.{name}."
        module.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
    for name, optimizer in (optimizers or {}).items():
        state: dict[int, dict[str, Tensor]] = {}
        prefix = f"optimizer.{name}."
        for key in (k for k in tensors if k.startswith(prefix)):
            index, slot = key[len(prefix) :].split(".", 1)
            state.setdefault(int(index), {})[slot] = tensors[key]
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return int(tensors["step"])


def warm_cosine(step: int, total: int, warm: int = 100, floor: float = 0.02) -> float:
    """Learning-rate factor: linear warm-up, then a half cosine down to `floor`."""
    if step < warm:
        return (step + 1) / warm
    share = min(1.0, (step - warm) / max(1, total - warm))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * share))


class Progress:
    """Prints a line with rate and time left every `every` seconds, and says when a checkpoint is due."""

    def __init__(self, stage: str, start: int, total: int, every: float = 20, checkpoint_every: float = 150) -> None:
        self.stage, self.start, self.total = stage, start, total
        self.every, self.checkpoint_every = every, checkpoint_every
        self.began = self.printed = self.saved = time.monotonic()
        self.sums: dict[str, float] = {}
        self.count = 0

    def __call__(self, step: int, **losses: float) -> bool:
        """Record the losses of `step`; True when it is time to save."""
        now = time.monotonic()
        self.count += 1
        for key, value in losses.items():
            self.sums[key] = self.sums.get(key, 0.0) + value
        if now - self.printed >= self.every or step + 1 == self.total:
            rate = (step + 1 - self.start) / (now - self.began)
            means = {k: round(v / self.count, 5) for k, v in self.sums.items()}
            left = (self.total - step - 1) / rate / 60
            print(
                f"{self.stage} {step + 1}/{self.total} {rate:.2f}/s left {left:.1f} min {json.dumps(means)}", flush=True
            )
            self.printed, self.sums, self.count = now, {}, 0
        if now - self.saved >= self.checkpoint_every or step + 1 == self.total:
            self.saved = now
            return True
        return False
