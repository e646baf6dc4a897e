"""All randomness of a sampler comes from the noise it is given."""

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
    problem, sigmas = Gaussian(model), even_steps(model, 10)
    x = problem.draw(float(sigmas[0]), 2)
    made = []
    for state in (1, 2):  # the global generator of torch stands elsewhere each time
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state)
            made.append(
                run_sampler(item, problem, x.clone(), sigmas, model=model, noise=noise_for(item, [5, 6], sigmas))
            )
    require(torch.equal(*made), "The same seeds give another picture the second time.")
