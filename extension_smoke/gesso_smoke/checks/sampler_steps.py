"""A sampler tells each step in order, and stops when it is told to."""

from __future__ import annotations

from gesso import Sampler, Step
from gesso.testing.toys import MODELS, Gaussian, even_steps, noise_for, run_sampler
from gesso_smoke.rules import Needs, broken, require
from gesso_smoke.subject import Subject

OF = "samplers"
NEEDS: Needs = "code"


class _Stop(BaseException):
    """What the engine raises to end a run is no Exception a sampler may swallow."""


def check(subject: Subject, item: Sampler) -> None:
    model = MODELS["eps"]
    problem, sigmas = Gaussian(model), even_steps(model, 8)
    x = problem.draw(float(sigmas[0]), 1)
    told: list[Step] = []
    run_sampler(item, problem, x.clone(), sigmas, model=model, noise=noise_for(item, [1], sigmas), on_step=told.append)
    require(told, "It never calls on_step: no progress, no preview, no interrupt.")
    indices = [step.index for step in told]
    require(indices == sorted(indices), f"It tells its steps as {indices}.")
    require(all(0 <= s.index < s.total for s in told), f"It tells {told[-1].index} of {told[-1].total} steps.")
    require(all(s.x.shape == x.shape == s.x0.shape for s in told), "The x or x0 it tells has another shape than x.")
    after: list[int] = []

    def stop(step: Step) -> None:
        after.append(step.index)
        raise _Stop

    try:
        run_sampler(item, problem, x.clone(), sigmas, model=model, noise=noise_for(item, [1], sigmas), on_step=stop)
    except _Stop:
        require(len(after) == 1, f"It goes on for {len(after)} steps after it was stopped.")
        return
    broken("It swallows what on_step raises, so that no run can be interrupted.")
