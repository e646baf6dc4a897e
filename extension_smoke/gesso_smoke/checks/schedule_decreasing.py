"""A schedule falls from sigma to sigma and ends in 0."""

from __future__ import annotations

from itertools import pairwise

import torch

from gesso import Scheduler
from gesso.testing.toys import MODELS
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject
from gesso_smoke.values import made_schedule

OF = "schedulers"
NEEDS: Needs = "code"


def check(subject: Subject, item: Scheduler) -> None:
    for kind, model in MODELS.items():
        for n in (1, 2, 10, 50):
            sigmas = made_schedule(item, n, model)
            where = f"for {n} steps on a {kind} model"
            require(torch.isfinite(sigmas).all(), f"{where}: not all of it is finite.")
            values = sigmas.flatten().tolist()
            rising = [i for i, (a, b) in enumerate(pairwise(values)) if b >= a]
            require(not rising, f"{where}: it does not fall at place {rising[0] + 1 if rising else 0}.")
            require(values[-1] == 0, f"{where}: it ends in {values[-1]:g}, not in 0.")
