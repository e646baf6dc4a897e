"""Seamless pictures: the right edge goes on at the left, the lower at the upper."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

from gesso import Params, Record, Registrar, hookimpl, param

if TYPE_CHECKING:
    from gesso import Model, RunContext

api = "1"
NAME = "tiling"


class Tiling(Params):
    """Pictures that can be laid side by side."""

    enabled: bool = param(False, label="Tiling", infotext="Tiling", api="tiling")
    axes: Literal["both", "horizontal", "vertical"] = param(
        "both", label="Direction", infotext="Tiling axes",
        description="Horizontal: the left and right edges fit; vertical: the upper and lower ones.",
    )  # fmt: skip

    def to_infotext(self) -> dict[str, object]:
        return super().to_infotext() if self.enabled else {}


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name=NAME, label="Tiling", params=Tiling))


@hookimpl
def gesso_wrap_model(ctx: RunContext, model: Model) -> AbstractContextManager[None] | None:
    options = ctx.params(NAME, Tiling)
    if not options.enabled:
        return None
    from .circular import circular

    modules = [component.module for component in (*model.parts.values(), model.vae)]
    return circular(modules, across=options.axes != "vertical", down=options.axes != "horizontal")
