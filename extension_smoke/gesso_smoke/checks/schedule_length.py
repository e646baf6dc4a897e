"""A schedule for n steps is n + 1 sigmas, float64, on the CPU."""

from __future__ import annotations

import torch

from gesso import ModelSampling, Scheduler
from gesso.testing.toys import MODELS
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject
from gesso_smoke.values import made_schedule

OF = "schedulers"
NEEDS: Needs = "code"


def check(subject: Subject, item: Scheduler) -> None:
    for kind, model in MODELS.items():
        for n in (1, 2, 3, 10, 30, 50):
            sigmas = made_schedule(item, n, model)
            where = f"for {n} steps on a {kind} model"
            require(sigmas.dtype == torch.float64, f"{where}: it is {sigmas.dtype}, not float64.")
            require(sigmas.device.type == "cpu", f"{where}: it is on {sigmas.device}, not on the CPU.")
            wanted = _steps(item, n, model)
            fits = tuple(sigmas.shape) == (wanted + 1,)
            require(fits, f"{where}: it has the shape {tuple(sigmas.shape)}, not ({wanted + 1},).")


def _steps(item: Scheduler, n: int, model: ModelSampling) -> int:
    """n; for one that strides, as many as a stride of ⌊time steps / n⌋ makes of the time steps from 1 on."""
    return len(range(1, model.steps, max(model.steps // n, 1))) if item.strides else n
