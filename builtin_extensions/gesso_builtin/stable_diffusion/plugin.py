"""Stable Diffusion 1.x, 2.x and XL: families, CLIP text encoders, VAEs, previews."""

from __future__ import annotations

from gesso import (
    AdapterKeysFn,
    BuildFn,
    ConditionFn,
    ConfigFn,
    CountTokensFn,
    DecodeFn,
    Defaults,
    DetectFn,
    EncodePixelsFn,
    EncodePromptFn,
    EncodeTextFn,
    Family,
    ModelCallFn,
    Part,
    PlanFn,
    Preview,
    PreviewFn,
    Record,
    Registrar,
    SamplingFn,
    Stage,
    StageFn,
    TextEncoder,
    TextUse,
    Vae,
    hookimpl,
    lazy,
)  # fmt: skip

from .conditioning import SdxlConditioning
from .recognise import MARKERS

api = "1"

_UNET = Part(
    config=lazy(".unet_keys:config", ConfigFn), plan=lazy(".unet_keys:plan", PlanFn), build=lazy(".unet:build", BuildFn)
)


@hookimpl
def gesso_register_families(registry: Registrar[Family]) -> None:
    small = Defaults(width=512, height=512, steps=20, cfg_scale=7.0)
    registry.add(
        Family(
            name="sd1",
            label="Stable Diffusion 1.x",
            licence="CreativeML Open RAIL-M (the published weights)",
            parts={"unet": _UNET},
            text=(TextUse(encoder="clip_l"),),
            vae="sd",
            detect=lazy(".recognise:detect_sd1", DetectFn),
            sampling=lazy(".sampling:sd1", SamplingFn),
            adapter_keys=lazy(".adapter_keys:keys", AdapterKeysFn),
            encode_prompt=lazy(".unet:encode_prompt", EncodePromptFn),
            predict=lazy(".unet:predict", ModelCallFn),
            condition=lazy(".unet:condition", ConditionFn),
            preview="sd",
            defaults={"": small},
            accepts=frozenset({"init", "mask"}),
        ),
        Family(
            name="sd2",
            label="Stable Diffusion 2.x",
            licence="CreativeML Open RAIL++-M (the published weights)",
            parts={"unet": _UNET},
            text=(TextUse(encoder="clip_h"),),
            vae="sd",
            detect=lazy(".recognise:detect_sd2", DetectFn),
            sampling=lazy(".sampling:sd2", SamplingFn),
            adapter_keys=lazy(".adapter_keys:keys", AdapterKeysFn),
            encode_prompt=lazy(".unet:encode_prompt", EncodePromptFn),
            predict=lazy(".unet:predict", ModelCallFn),
            condition=lazy(".unet:condition", ConditionFn),
            preview="sd",
            defaults={"": Defaults(width=768, height=768, steps=20, cfg_scale=7.0), "inpaint": small, "depth": small},
            accepts=frozenset({"init", "mask"}),
            markers=MARKERS,
        ),
        Family(
            name="sdxl",
            label="Stable Diffusion XL",
            licence="CreativeML Open RAIL++-M (the published weights)",
            parts={"unet": _UNET},
            text=(TextUse(encoder="clip_l", unless=("refiner",)), TextUse(encoder="clip_g")),
            vae="sdxl",
            detect=lazy(".recognise:detect_sdxl", DetectFn),
            sampling=lazy(".sampling:sdxl", SamplingFn),
            adapter_keys=lazy(".adapter_keys:keys", AdapterKeysFn),
            encode_prompt=lazy(".sdxl:encode_prompt", EncodePromptFn),
            predict=lazy(".unet:predict", ModelCallFn),
            condition=lazy(".unet:condition", ConditionFn),
            preview="sdxl",
            defaults={"": Defaults(width=1024, height=1024, steps=30, cfg_scale=7.0)},
            accepts=frozenset({"init", "mask"}),
            markers=MARKERS,
        ),
    )


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name="sdxl", label="SDXL size conditioning", params=SdxlConditioning))


@hookimpl
def gesso_register_stages(registry: Registrar[Stage]) -> None:
    tell = lazy(".conditioning:tell", StageFn)
    registry.add(Stage(name="sdxl_conditioning", label="Size conditioning", anchor="prepare", run=tell))


@hookimpl
def gesso_register_text_encoders(registry: Registrar[TextEncoder]) -> None:
    count = lazy(".tokenizer:count_tokens", CountTokensFn)
    registry.add(
        TextEncoder(
            name="clip_l",
            label="CLIP ViT-L/14",
            part=Part(
                config=lazy(".clip_keys:l_config", ConfigFn),
                plan=lazy(".clip_keys:l_plan", PlanFn),
                build=lazy(".clip:build", BuildFn),
            ),
            count_tokens=count,
            encode=lazy(".clip:encode_l", EncodeTextFn),
        ),
        TextEncoder(
            name="clip_g",
            label="OpenCLIP ViT-bigG/14",
            part=Part(
                config=lazy(".clip_keys:g_config", ConfigFn),
                plan=lazy(".clip_keys:g_plan", PlanFn),
                build=lazy(".clip:build", BuildFn),
            ),
            count_tokens=count,
            encode=lazy(".clip:encode_g", EncodeTextFn),
        ),
        TextEncoder(
            name="clip_h",
            label="OpenCLIP ViT-H/14",
            part=Part(
                config=lazy(".clip_keys:h_config", ConfigFn),
                plan=lazy(".clip_keys:h_plan", PlanFn),
                build=lazy(".clip:build", BuildFn),
            ),
            count_tokens=count,
            encode=lazy(".clip:encode_h", EncodeTextFn),
        ),
    )


@hookimpl
def gesso_register_vaes(registry: Registrar[Vae]) -> None:
    plan, build = lazy(".vae_keys:plan", PlanFn), lazy(".vae:build", BuildFn)
    decode, encode = lazy(".vae:decode", DecodeFn), lazy(".vae:encode", EncodePixelsFn)
    registry.add(
        Vae(
            name="sd",
            label="Stable Diffusion VAE",
            part=Part(config=lazy(".vae_keys:sd_config", ConfigFn), plan=plan, build=build),
            decode=decode,
            encode=encode,
        ),
        Vae(
            name="sdxl",
            label="Stable Diffusion XL VAE",
            part=Part(config=lazy(".vae_keys:sdxl_config", ConfigFn), plan=plan, build=build),
            decode=decode,
            encode=encode,
        ),
        Vae(
            name="flux1",
            label="Flux.1 VAE",
            part=Part(config=lazy(".vae_keys:flux1_config", ConfigFn), plan=plan, build=build),
            decode=decode,
            encode=encode,
        ),
    )


@hookimpl
def gesso_register_previews(registry: Registrar[Preview]) -> None:
    registry.add(
        Preview(name="sd", label="Stable Diffusion latents", run=lazy(".vae:preview", PreviewFn)),
        Preview(name="sdxl", label="Stable Diffusion XL latents", run=lazy(".vae:preview_sdxl", PreviewFn)),
    )
