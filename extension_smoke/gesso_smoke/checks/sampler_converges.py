"""A deterministic sampler comes the closer to the exact answer the more steps it has."""

from __future__ import annotations

from gesso import Sampler
from gesso.testing.toys import MODELS, Gaussian, even_steps, run_sampler
from gesso_smoke.rules import Needs, NotApplicable, require
from gesso_smoke.subject import Subject

OF = "samplers"
NEEDS: Needs = "code"


STEPS = (40, 80)
END = 0.1
RATIO = 0.65
"""First order halves the error when the steps double; slower than this is no convergence."""
ENOUGH = 0.02


def check(subject: Subject, item: Sampler) -> None:
    if not item.deterministic:
        raise NotApplicable("It draws fresh noise.")
    for kind in ("eps", "flow"):
        model = MODELS[kind]
        problem, errors = Gaussian(model), []
        for steps in STEPS:
            sigmas = even_steps(model, steps, end=END)
            x = problem.draw(float(sigmas[0]), 1)
            exact = problem.exact(x, float(sigmas[0]), END)
            errors.append(float((run_sampler(item, problem, x, sigmas, model=model) - exact).abs().max()))
        few, many = errors
        require(
            many <= max(ENOUGH, RATIO * few),
            f"on a {kind} model the error is {few:.4f} with {STEPS[0]} steps and {many:.4f} with {STEPS[1]}.",
        )
