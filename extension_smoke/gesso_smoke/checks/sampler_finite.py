"""A sampler gives a finite picture of the right shape, with few steps and with many."""

from __future__ import annotations

import torch

from gesso import Sampler
from gesso.testing.toys import MODELS, Gaussian, even_steps, noise_for, run_sampler
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "samplers"
NEEDS: Needs = "code"


STEPS = (1, 2, 3, 24)


def check(subject: Subject, item: Sampler) -> None:
    for kind, model in MODELS.items():
        problem = Gaussian(model)
        for steps in STEPS:
            sigmas = even_steps(model, steps)
            x = problem.draw(float(sigmas[0]), 2)
            result = run_sampler(item, problem, x, sigmas, model=model, noise=noise_for(item, [1, 2], sigmas))
            where = f"on a {kind} model with {steps} steps"
            require(result.shape == x.shape, f"{where}: it returns {tuple(result.shape)} for {tuple(x.shape)}.")
            require(torch.isfinite(result).all(), f"{where}: the result is not finite.")
            away = ((result - problem.mean) / problem.spread).abs().max()
            require(steps < max(STEPS) or away < 6, f"{where}: the result is {float(away):.1f} spreads off the data.")
