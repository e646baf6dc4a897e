"""A family's parametrisation is sound: sigmas rise, and time and sigma are inverse to each other."""

from __future__ import annotations

from itertools import pairwise

from gesso import Family, Match, ModelSampling
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "families"
NEEDS: Needs = "code"


def check(subject: Subject, item: Family) -> None:
    for variant in item.defaults:
        model: ModelSampling = item.sampling.load()(Match(family=item.name, variant=variant))
        values = model.sigmas.tolist()
        said = f"variant {variant!r}" if variant else "the family"
        require(all(a < b for a, b in pairwise(values)), f"{said}: its sigmas do not rise.")
        require(values[0] > 0, f"{said}: its smallest sigma is {values[0]:g}, not above 0.")
        for t in (0.0, model.steps / 3, model.steps - 1.0):
            back = model.timestep(model.sigma(t))
            require(abs(back - t) < 1e-3 * model.steps, f"{said}: time {t:g} comes back from its sigma as {back:g}.")
