"""Names people wrote before samplers and schedules were two things: "DPM++ 2M Karras"."""

from __future__ import annotations

from gesso.contributions import Sampler, Scheduler
from gesso.registry import Registry


def split_sampler_name(
    text: str, samplers: Registry[Sampler], schedulers: Registry[Scheduler]
) -> tuple[Sampler, Scheduler | None]:
    """The sampler and, where the text ends in one, the schedule: labels, names and aliases, in any case.

    A schedule that is the sampler's default becomes the one called "automatic", as A1111 records it; None when the text
    names no schedule. UnknownNameError, with near matches, when the rest is no sampler.
    """
    words = text.split()
    sampler = samplers.find(" ".join(words))
    if sampler is not None:
        return sampler, None
    rest = text
    for cut in range(1, len(words)):  # the longest schedule name first: "SGM Uniform" before "Uniform"
        scheduler = schedulers.find(" ".join(words[cut:]))
        if scheduler is not None:
            rest = " ".join(words[:cut])
            sampler = samplers.find(rest)
            if sampler is not None:
                is_default = scheduler.name == sampler.default_scheduler
                return sampler, schedulers.get("automatic") if is_default else scheduler
    return samplers.get(rest), None
