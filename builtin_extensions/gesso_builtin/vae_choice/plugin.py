"""Another autoencoder than the checkpoint's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gesso import ChoicesFn, Params, Record, Registrar, Request, Stage, StageFn, hookimpl, lazy, param

if TYPE_CHECKING:
    from gesso import Output, RunContext, Service

api = "1"
NAME = "vae_choice"
AUTOMATIC, NONE = "Automatic", "None"


class VaeChoice(Params):
    """What turns latents into pixels."""

    vae: str = param(
        AUTOMATIC, label="VAE", infotext="VAE", choices=lazy(".choices:vaes", ChoicesFn),
        description="Automatic: one that is called like the model, else the model's own. None: the model's own.",
    )  # fmt: skip

    @classmethod
    def from_infotext(cls, pairs: Mapping[str, str]) -> dict[str, Any]:
        found = super().from_infotext(pairs)
        return found or ({"vae": pairs["VAE hash"]} if "VAE hash" in pairs else {})

    @classmethod
    def infotext_keys(cls) -> tuple[str, ...]:
        return (*super().infotext_keys(), "VAE hash")


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name=NAME, label="VAE", group="Model", params=VaeChoice))


@hookimpl
def gesso_filter_request(request: Request, service: Service) -> Request | None:
    """The name becomes a file before the job is queued; one that is not there is an error here."""
    from .choices import chosen

    if request.components.get("vae"):
        return None
    name = chosen(VaeChoice.parse(request.params.get(NAME, {}), where=NAME).vae, request.model, service)
    return request.model_copy(update={"components": {**request.components, "vae": name}}) if name else None


@hookimpl
def gesso_register_stages(registry: Registrar[Stage]) -> None:
    stage = Stage(name=NAME, label="Loading the VAE", anchor="load", after=("load",), run=lazy(".stages:load", StageFn))
    registry.add(stage)


@hookimpl
def gesso_filter_metadata(pairs: dict[str, Any], output: Output, ctx: RunContext) -> dict[str, Any] | None:
    """The file that was used, whatever it was called by."""
    used = ctx.job.components.get("vae")
    if used is None:
        return None
    return {**pairs, "VAE hash": used.hash[:10], "VAE": ctx.library.find(used).path.name}
