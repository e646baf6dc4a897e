"""Align Your Steps: schedules found by optimisation for SD1 and SDXL (Sabour et al. 2024, arXiv:2404.14507)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gesso import ScheduleFn, Scheduler, lazy
from gesso_builtin.schedulers.shape import ended, ramp

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import ModelSampling

SCHEDULERS = (
    Scheduler(
        name="align_your_steps",
        label="Align Your Steps",
        run=lazy(".align_your_steps:align_your_steps", ScheduleFn),
        source="arXiv:2404.14507",
    ),
    Scheduler(
        name="align_your_steps_GITS",
        label="Align Your Steps GITS",
        run=lazy(".align_your_steps:align_your_steps_gits", ScheduleFn),
        source="arXiv:2405.11326",
    ),
    Scheduler(
        name="align_your_steps_11",
        label="Align Your Steps 11",
        run=lazy(".align_your_steps:align_your_steps", ScheduleFn),
        source="arXiv:2404.14507",
    ),
    Scheduler(
        name="align_your_steps_32",
        label="Align Your Steps 32",
        run=lazy(".align_your_steps:align_your_steps_32", ScheduleFn),
        source="arXiv:2404.14507",
    ),
)

AYS = {
    "sd1": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
}
GITS = {
    "sd1": (14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029),
    "sdxl": (14.615, 4.734, 2.567, 1.529, 0.987, 0.652, 0.418, 0.268, 0.179, 0.127, 0.029),
}
AYS_32 = {
    "sd1": (
        14.615, 11.23951352, 8.64363081, 6.64729424, 5.57250862, 4.71648546, 3.99196065, 3.5195609, 3.13490466,
        2.79228788, 2.48773628, 2.21663865, 1.97508351, 1.7793172, 1.61475335, 1.46540953, 1.314849, 1.16642497,
        1.03475547, 0.91573744, 0.80748169, 0.71202361, 0.621739, 0.53065202, 0.4529096, 0.37491455, 0.27461819,
        0.2011529, 0.14105873, 0.06682881, 0.03166121, 0.015,
    ),
    "sdxl": (
        14.615, 11.1491618, 8.50522127, 6.48827151, 5.43707402, 4.60398619, 3.89854704, 3.27407457, 2.74396527,
        2.29968659, 1.95448514, 1.67108715, 1.42878152, 1.23181009, 1.06789649, 0.92579443, 0.80290886, 0.69660121,
        0.60436903, 0.52852552, 0.46773344, 0.41393379, 0.36258186, 0.31008517, 0.26518925, 0.22326461, 0.17653877,
        0.13959192, 0.10587381, 0.05519369, 0.02877334, 0.015,
    ),
}  # fmt: skip
"""Published σ tables by the model they were optimised for (Forge names them so)."""


def align_your_steps(n: int, *, model: ModelSampling, size: tuple[int, int], options: None = None) -> Tensor:
    """The published 10 steps, log-linearly interpolated to n."""
    return _interpolated(AYS, n, model)


def align_your_steps_gits(n: int, *, model: ModelSampling, size: tuple[int, int], options: None = None) -> Tensor:
    """The 10 steps found by GITS (Chen et al. 2024, arXiv:2405.11326), interpolated to n."""
    return _interpolated(GITS, n, model)


def align_your_steps_32(n: int, *, model: ModelSampling, size: tuple[int, int], options: None = None) -> Tensor:
    """A finer table of 32, interpolated to n."""
    return _interpolated(AYS_32, n, model)


def _interpolated(tables: Mapping[str, tuple[float, ...]], n: int, model: ModelSampling) -> Tensor:
    """n sigmas at even places of a table, log-linear between its entries.

    The tables were made for variance-exploding models: others get the σ of equal signal-to-noise ratio. All start where
    the model's noise ends.
    """
    logs = [math.log(value) for value in tables.get(model.tables, tables["sd1"])]
    sigmas = []
    for place in ramp(0, len(logs) - 1, n):
        low = min(int(place), len(logs) - 2)
        log = logs[low] + (place - low) * (logs[low + 1] - logs[low])
        sigmas.append(model.from_half_log_snr(-log))
    sigmas[0] = max(sigmas[0], model.sigma_max)
    return ended(sigmas, model)
