"""A sampler draws fresh noise if, and only if, its record says so."""

from __future__ import annotations

import torch

from gesso import Sampler
from gesso.testing.toys import MODELS, Gaussian, even_steps, run_sampler
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "samplers"
NEEDS: Needs = "code"


def check(subject: Subject, item: Sampler) -> None:
    model = MODELS["eps"]
    problem, sigmas = Gaussian(model), even_steps(model, 24)
    x = problem.draw(float(sigmas[0]), 1)
    made = [
        run_sampler(item, problem, x.clone(), sigmas, model=model, noise=lambda a, b, h=height: torch.full_like(x, h))
        for height in (0.0, 0.5)
    ]
    same = torch.equal(*made)
    if item.deterministic:
        require(same, "It says deterministic=True, and fresh noise changes its result.")
    else:
        require(not same, "It says deterministic=False, and fresh noise changes nothing.")
