"""Adapters: files that change a model's weights for one picture. Applies all kinds plugins bring; brings "diff"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import field_validator

from gesso import (
    Adapter,
    AdapterExampleFn,
    AdapterPatchesFn,
    AdapterUse,
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

    from gesso import Model, Request, RunContext, Service

api = "1"


class AdapterParams(Params):
    """Files of the folder "loras" that change the model while this picture is made."""

    use: str = param(
        "", label="Adapters", infotext="Adapters", max_length=10_000,
        description="name:strength, separated by commas; a second number is the strength in the text encoder",
    )  # fmt: skip

    @field_validator("use")
    @classmethod
    def _readable(cls, value: str) -> str:
        read(value)
        return value


def read(text: str) -> list[AdapterUse]:
    """ "one:0.8, two, three:1:0" → uses. ValueError says which part is wrong."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, *numbers = part.split(":")
        try:
            strengths = [float(number) for number in numbers]
        except ValueError:
            strengths = [float("nan")]
        if not name or len(strengths) > 2 or not all(abs(strength) <= 100 for strength in strengths):
            raise ValueError(f"write an adapter as name:strength, such as inked:0.8, not {part!r}")
        found.append(AdapterUse(name.strip(), *strengths))
    return found


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name="adapters", label="Adapters", params=AdapterParams))


@hookimpl
def gesso_register_adapters(registry: Registrar[Adapter]) -> None:
    registry.add(
        Adapter(
            name="diff",
            label="Full difference",
            recognise=lazy(".recognise:recognise", RecogniseAdapterFn),
            patches=lazy(".diff:patches", AdapterPatchesFn),
            example=lazy(".diff:example", AdapterExampleFn),
        )
    )


@hookimpl
def gesso_filter_request(request: Request, service: Service) -> None:
    """A name that is no file's is an error before the job is queued."""
    for use in read(AdapterParams.parse(request.params.get("adapters", {}), where="adapters").use):
        service.library.find(use.name, "lora")


@hookimpl
def gesso_wrap_model(ctx: RunContext, model: Model) -> AbstractContextManager[None] | None:
    uses = read(ctx.params("adapters", AdapterParams).use)
    if not uses:
        return None
    from gesso import adapted

    return adapted(ctx, model, uses)
