"""Registers the toy family, its autoencoder, its preview, and a stage that reads an input file."""

from __future__ import annotations

from gesso import (
    BuildFn,
    ConfigFn,
    DecodeFn,
    Defaults,
    DetectFn,
    EncodePixelsFn,
    EncodePromptFn,
    Family,
    ModelCallFn,
    Part,
    PlanFn,
    Preview,
    PreviewFn,
    SamplingFn,
    Stage,
    StageFn,
    Vae,
    hookimpl,
    lazy,
)  # fmt: skip

api = "1"


def part(name):
    plan = lazy(f".detection:{name}_plan", PlanFn)
    return Part(config=lazy(".detection:config", ConfigFn), plan=plan, build=lazy(".net:build", BuildFn))


@hookimpl
def gesso_register_families(registry):
    registry.add(
        Family(
            name="toy",
            parts={"net": part("net")},
            text=(),
            vae="toy",
            detect=lazy(".detection:detect", DetectFn),
            sampling=lazy(".net:sampling", SamplingFn),
            encode_prompt=lazy(".net:encode_prompt", EncodePromptFn),
            predict=lazy(".net:predict", ModelCallFn),
            preview="toy",
            defaults={"": Defaults(width=64, height=64, steps=3, sampler="euler")},
        )
    )


@hookimpl
def gesso_register_vaes(registry):
    registry.add(
        Vae(
            name="toy",
            part=part("vae"),
            decode=lazy(".net:decode", DecodeFn),
            encode=lazy(".net:encode", EncodePixelsFn),
        )
    )


@hookimpl
def gesso_register_previews(registry):
    registry.add(Preview(name="toy", run=lazy(".net:preview", PreviewFn)))


@hookimpl
def gesso_register_stages(registry):
    registry.add(Stage(name="toy_input", anchor="prepare", run=lazy(".net:read_input", StageFn)))
