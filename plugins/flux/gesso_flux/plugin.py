"""Flux.1 (Black Forest Labs, 2024): the family, T5's encoder, its record and its preview."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from gesso import (
    AdapterKeysFn,
    BuildFn,
    ConditionFn,
    ConfigFn,
    CountTokensFn,
    Defaults,
    DetectFn,
    EncodePromptFn,
    EncodeTextFn,
    Family,
    FitPreviewFn,
    FitsFn,
    ModelCallFn,
    Part,
    PlanFn,
    Preview,
    Record,
    Registrar,
    Request,
    SamplingFn,
    Stage,
    StageFn,
    Stream,
    TextEncoder,
    TextUse,
    hookimpl,
    lazy,
)

from .params import AUTOMATIC, MODULES, NAME, FluxParams

if TYPE_CHECKING:
    from gesso import Model, Output, RunContext, Service

api = "1"
capabilities = ("network",)  # T5's tokenizer, where no file has it


def _defaults(steps: int) -> Defaults:
    """Forge's habits: CFG 1, Euler, Simple."""
    return Defaults(
        width=896, height=1152, multiple_of=16, steps=steps, cfg_scale=1.0, sampler="euler", scheduler="simple"
    )


@hookimpl
def gesso_register_families(registry: Registrar[Family]) -> None:
    registry.add(
        Family(
            name=NAME,
            label="Flux.1",
            licence="schnell Apache-2.0; dev, Fill and Kontext FLUX.1 [dev] Non-Commercial (the published weights)",
            streams=(Stream(channels=16),),
            parts={
                "transformer": Part(
                    config=lazy(".transformer_keys:config", ConfigFn),
                    plan=lazy(".transformer_keys:plan", PlanFn),
                    build=lazy(".transformer:build", BuildFn),
                )
            },
            text=(TextUse(encoder="clip_l"), TextUse(encoder="t5xxl")),
            vae="flux1",
            fits=lazy(".recognise:fits", FitsFn),
            detect=lazy(".recognise:detect", DetectFn),
            sampling=lazy(".sampling:sampling", SamplingFn),
            adapter_keys=lazy(".adapter_keys:keys", AdapterKeysFn),
            encode_prompt=lazy(".transformer:encode_prompt", EncodePromptFn),
            predict=lazy(".transformer:predict", ModelCallFn),
            condition=lazy(".transformer:condition", ConditionFn),
            preview="flux1",
            defaults={"": _defaults(20), "schnell": _defaults(4), "fill": _defaults(30)},
            accepts=frozenset({"init", "mask", "reference"}),
        )
    )


@hookimpl
def gesso_register_text_encoders(registry: Registrar[TextEncoder]) -> None:
    registry.add(
        TextEncoder(
            name="t5xxl",
            label="T5 v1.1 XXL encoder",
            part=Part(
                config=lazy(".t5_keys:config", ConfigFn),
                plan=lazy(".t5_keys:plan", PlanFn),
                build=lazy(".t5:build", BuildFn),
            ),
            count_tokens=lazy(".tokenizer:count_tokens", CountTokensFn),
            encode=lazy(".t5:encode", EncodeTextFn),
            chunk=511,
        )
    )


@hookimpl
def gesso_register_previews(registry: Registrar[Preview]) -> None:
    registry.add(Preview(name="flux1", label="Flux.1 latents", fit=lazy(".preview:fit", FitPreviewFn)))


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name=NAME, label="Flux.1", params=FluxParams))


@hookimpl
def gesso_register_stages(registry: Registrar[Stage]) -> None:
    tell = lazy(".stages:tell", StageFn)
    registry.add(Stage(name=NAME, label="Flux.1's options", anchor="load", after=("load", "vae_choice"), run=tell))


@hookimpl
def gesso_filter_request(request: Request, service: Service) -> Request | None:
    """Text encoders somebody chose become the job's components; names nobody has are an error here."""
    asked = FluxParams.parse(request.params.get(NAME, {}), where=NAME)
    chosen = {name: getattr(asked, name) for name in MODULES if getattr(asked, name) not in ("", AUTOMATIC)}
    if not chosen or service.library.find(request.model).family != NAME:
        return None
    found = {name: service.library.find(value, "text_encoder").name for name, value in chosen.items()}
    return request.model_copy(update={"components": {**request.components, **found}})


@hookimpl
def gesso_wrap_model(ctx: RunContext, model: Model) -> AbstractContextManager[None] | None:
    if model.family.name != NAME:
        return None
    from .stages import shifted

    return shifted(ctx, model)


@hookimpl
def gesso_filter_metadata(pairs: dict[str, Any], output: Output, ctx: RunContext) -> dict[str, Any] | None:
    """The guidance and the text encoders that were used, whatever they were called by."""
    model = ctx.loaded()
    if model.family.name != NAME:
        return None
    from .transformer import guidance

    used: dict[str, Any] = {MODULES[name]: ref.name for name, ref in ctx.job.components.items() if name in MODULES}
    if model.parts["transformer"].config["guidance_embeds"]:
        used["Distilled CFG Scale"] = guidance(model.match.variant, ctx.text_options)
    return {**pairs, **used}
