"""Registers the samplers: every module of this folder that has a list `SAMPLERS`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from gesso import Registrar, Sampler, hookimpl

api = "1"

ORDER = (
    "dpmpp_2m", "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_2s_ancestral", "dpmpp_3m_sde",
    "euler_ancestral", "euler", "lms", "heun", "dpm_2", "dpm_2_ancestral", "dpm_fast", "dpm_adaptive", "restart",
    "ddim", "ddim_cfg_pp", "plms", "uni_pc", "lcm", "heunpp2", "ipndm", "ipndm_v", "deis", "ddpm",
)  # fmt: skip
"""How A1111 and Forge list them; samplers not named here follow in the order of their files."""


def samplers() -> Iterator[Sampler]:
    """The records of all modules beside this one. They import no torch, so this is light."""
    package = __name__.rpartition(".")[0]
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if info.name != "plugin":
            yield from getattr(importlib.import_module(f"{package}.{info.name}"), "SAMPLERS", ())


@hookimpl
def gesso_register_samplers(registry: Registrar[Sampler]) -> None:
    """Add all samplers, the known ones first."""
    rank = {name: place for place, name in enumerate(ORDER)}
    registry.add(*sorted(samplers(), key=lambda record: rank.get(record.name, len(ORDER))))
