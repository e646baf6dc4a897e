"""Classifier-free guidance."""

from __future__ import annotations

from gesso import Guider, GuiderFn, Params, Registrar, hookimpl, lazy, param

api = "1"


class CfgOptions(Params):
    """Options of classifier-free guidance."""

    rescale: float = param(
        0.0, ge=0, le=1, step=0.05, label="CFG rescale", infotext="CFG rescale",
        description="Pulls the result's contrast back to the conditional one's (arXiv:2305.08891, §3.4).",
    )  # fmt: skip


@hookimpl
def gesso_register_guiders(registry: Registrar[Guider]) -> None:
    registry.add(
        Guider(
            name="cfg",
            label="Classifier-free guidance",
            run=lazy(".cfg:guide", GuiderFn),
            options=CfgOptions,
            source="https://arxiv.org/abs/2207.12598",
        )
    )
