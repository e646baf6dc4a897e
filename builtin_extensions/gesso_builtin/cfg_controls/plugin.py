"""Steps without the negative prompt: negative-guidance minimum sigma, and none at the beginning."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gesso import Params, Record, Registrar, hookimpl, param

if TYPE_CHECKING:
    from gesso import Guidance, RunContext

api = "1"
NAME = "cfg_controls"


class CfgControls(Params):
    """Where guidance is left out, which makes a step up to twice as fast."""

    min_sigma: float = param(
        0.0, ge=0, le=15, step=0.01, label="Negative guidance minimum sigma", infotext="NGMS", api="s_min_uncond",
        description="Below this noise level every other step goes without the negative prompt; 0: off.",
    )  # fmt: skip
    all_steps: bool = param(
        False, label="Negative guidance minimum sigma in all steps", infotext="NGMS all steps",
        description="Not every other step below it, but all.",
    )  # fmt: skip
    skip_early: float = param(
        0.0, ge=0, le=1, step=0.05, label="Ignore negative prompt during early sampling", infotext="Skip Early CFG",
        description="The share of the steps, from the first, that go without the negative prompt.",
    )  # fmt: skip


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name=NAME, label="Guidance left out", params=CfgControls))


@hookimpl
def gesso_filter_guidance(guidance: Guidance, ctx: RunContext) -> Guidance | None:
    """The prompt itself in the negative prompt's place: guidance then changes nothing and costs no second call."""
    if NAME not in ctx.request.params or not guidance.negative:
        return None
    left_out = skipped(guidance, ctx.params(NAME, CfgControls))
    return replace(guidance, negative=guidance.positive[:1]) if left_out else None


def skipped(guidance: Guidance, options: CfgControls) -> bool:
    """Whether this call does without guidance. Calls count from 0, a second-order sampler's twice, as in A1111."""
    if options.skip_early and guidance.call / guidance.calls <= options.skip_early:
        return True
    return guidance.sigma < options.min_sigma and (options.all_steps or guidance.call % 2 == 1)
