"""LoRA and its kin: files named in the prompt change the model while one picture is made."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from gesso import (
    Adapter,
    AdapterExampleFn,
    AdapterPatchesFn,
    Panel,
    PanelFn,
    Params,
    RecogniseAdapterFn,
    Record,
    Registrar,
    hookimpl,
    lazy,
    param,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gesso import Model, Output, Prompt, PromptParser, Request, RunContext, Step

api = "1"
NAME = "lora"
HASHES = "Lora hashes"
KINDS = {
    "lora": ("LoRA, LoCon", "arXiv:2106.09685"), "dora": ("DoRA", "arXiv:2402.09353"),
    "loha": ("LoHa", "arXiv:2108.06098"), "lokr": ("LoKr", "arXiv:2212.10650"), "oft": ("OFT", "arXiv:2306.07280"),
}  # fmt: skip
"""Name → label, paper."""


class LoraParams(Params):
    """What all files that the prompt names with <lora:name:strength> have in common."""

    strength: float = param(
        1.0, ge=-10, le=10, step=0.05, label="Strength of all", infotext="Lora strength",
        description="The strengths in the prompt are multiplied by this.",
    )  # fmt: skip


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name=NAME, label="LoRA", group="Prompt", params=LoraParams, tells=(HASHES,)))


@hookimpl
def gesso_register_adapters(registry: Registrar[Adapter]) -> None:
    for kind, (label, source) in KINDS.items():
        registry.add(
            Adapter(
                name=kind,
                label=label,
                recognise=lazy(f".names:{kind}", RecogniseAdapterFn),
                patches=lazy(".weights:patches", AdapterPatchesFn),
                example=lazy(f".examples:{kind}", AdapterExampleFn),
                source=source,
            )
        )


@hookimpl
def gesso_filter_request(request: Request) -> None:
    """A strength that is no number is an error before the job is queued."""
    from .tags import split

    split(request.prompt)


@hookimpl(wrapper=True)
def gesso_choose_prompt_parser() -> Generator[None, PromptParser | None, PromptParser]:
    """Whoever reads the prompt, it is without its tags."""
    from .prompts import Tagless

    return Tagless((yield))


@hookimpl(wrapper=True)
def gesso_choose_prompt_reading(prompt: str) -> Generator[None, Prompt | None, Prompt]:
    """Tags are no tokens."""
    from .prompts import Tagless, tagless

    read = yield
    return Tagless(None)(prompt) if read is None else tagless(read)


@hookimpl
def gesso_wrap_model(ctx: RunContext, model: Model) -> AbstractContextManager[None] | None:
    from .tags import split

    tags = split(ctx.prompt)[1]
    if not tags:
        return None
    from .applied import applied

    return applied(ctx, model, tags)


@hookimpl
def gesso_wrap_denoise(ctx: RunContext) -> None:
    """A pass begins: strengths that change are what they are at its start."""
    from .applied import to_step

    to_step(ctx, 0, ctx.request.steps)


@hookimpl
def gesso_on_step(ctx: RunContext, step: Step) -> None:
    from .applied import to_step

    if step.index + 1 < step.total:
        to_step(ctx, step.index + 1, step.total)


@hookimpl
def gesso_filter_metadata(pairs: dict[str, Any], output: Output, ctx: RunContext) -> dict[str, Any] | None:
    """The hashes of the files that were used."""
    from .applied import used

    found = used(ctx)
    return {**pairs, HASHES: ", ".join(f"{name}: {short}" for name, short in found.items())} if found else None


@hookimpl
def gesso_register_panels(registry: Registrar[Panel]) -> None:
    registry.add(Panel(name=NAME, label="LoRA files", build=lazy(".ui:build", PanelFn), slot="prompts"))
