"""A picture of a batch is the one its seed makes alone."""

from __future__ import annotations

import torch

from gesso import Sampler
from gesso.testing.toys import MODELS, Gaussian, even_steps, noise_for, run_sampler
from gesso_smoke.rules import Needs, NotApplicable, require
from gesso_smoke.subject import Subject

OF = "samplers"
NEEDS: Needs = "code"


SEEDS = [11, 12, 2**40]


def check(subject: Subject, item: Sampler) -> None:
    if item.one_by_one:
        raise NotApplicable("The engine runs it image by image.")
    model = MODELS["eps"]
    problem, sigmas = Gaussian(model), even_steps(model, 10)
    x = problem.draw(float(sigmas[0]), len(SEEDS))

    def run(chosen: slice) -> torch.Tensor:
        noise = noise_for(item, SEEDS[chosen], sigmas)
        with torch.random.fork_rng(devices=[]):  # whoever draws elsewhere fails the check sampler_seed
            torch.manual_seed(0)
            return run_sampler(item, problem, x[chosen].clone(), sigmas, model=model, noise=noise)

    together = run(slice(None))
    for i in range(len(SEEDS)):
        away = (together[i : i + 1] - run(slice(i, i + 1))).abs().max()
        require(away < 1e-9, f"Picture {i} differs by {float(away):.2g} from the one made alone. See one_by_one.")
