"""Registers the schedules: every module of this folder that has a list `SCHEDULERS`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from gesso import Registrar, Scheduler, hookimpl

api = "1"

ORDER = (
    "automatic", "uniform", "karras", "exponential", "polyexponential", "sgm_uniform", "kl_optimal", "align_your_steps",
    "simple", "normal", "ddim", "beta", "turbo", "align_your_steps_GITS", "align_your_steps_11", "align_your_steps_32",
)  # fmt: skip
"""How A1111 and Forge list them; schedules not named here follow in the order of their files."""


def schedulers() -> Iterator[Scheduler]:
    """The records of all modules beside this one. They import no torch, so this is light."""
    package = __name__.rpartition(".")[0]
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if info.name != "plugin":
            yield from getattr(importlib.import_module(f"{package}.{info.name}"), "SCHEDULERS", ())


@hookimpl
def gesso_register_schedulers(registry: Registrar[Scheduler]) -> None:
    """Add all schedules, the known ones first."""
    rank = {name: place for place, name in enumerate(ORDER)}
    registry.add(*sorted(schedulers(), key=lambda record: rank.get(record.name, len(ORDER))))
