"""A sampler changes neither the x nor the sigmas it is given."""

from __future__ import annotations

import torch

from gesso import Sampler
from gesso.testing.toys import MODELS, Gaussian, even_steps, noise_for, run_sampler
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "samplers"
NEEDS: Needs = "code"


def check(subject: Subject, item: Sampler) -> None:
    model = MODELS["eps"]
    problem, sigmas = Gaussian(model), even_steps(model, 6)
    x = problem.draw(float(sigmas[0]), 1)
    given, schedule = x.clone(), sigmas.clone()
    run_sampler(item, problem, x, sigmas, model=model, noise=noise_for(item, [1], sigmas))
    require(torch.equal(x, given), "It writes into the x it is given.")
    require(torch.equal(sigmas, schedule), "It writes into the sigmas it is given.")
