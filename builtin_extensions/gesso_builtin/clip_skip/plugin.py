"""Clip skip: the prompt as an earlier layer of the text encoder sees it."""

from __future__ import annotations

from gesso import Params, Record, Registrar, Stage, StageFn, hookimpl, lazy, param

api = "1"
NAME = "clip_skip"


class ClipSkip(Params):
    """Which layer of CLIP the model is given."""

    layers: int = param(
        1, ge=1, le=12, step=1, label="Clip skip", infotext="Clip skip",
        description="1: the last layer, 2: the last but one, which many anime models were trained with.",
    )  # fmt: skip
    sdxl: bool = param(
        False, label="Clip skip for SDXL", infotext="Clip skip SDXL", advanced=True,
        description="SDXL's CLIP-L obeys too. It was trained on the last layer but one, and otherwise keeps to it.",
    )  # fmt: skip


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name=NAME, label="Clip skip", group="Model", params=ClipSkip))


@hookimpl
def gesso_register_stages(registry: Registrar[Stage]) -> None:
    registry.add(Stage(name=NAME, label="Clip skip", anchor="prepare", run=lazy(".stages:prepare", StageFn)))
