"""Grids: one picture of all the pictures of a job, when asked for."""

from __future__ import annotations

from gesso import Record, Registrar, Stage, StageFn, hookimpl, lazy
from gesso_builtin.grid.options import GridParams

api = "1"


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name="grid", label="Grid", params=GridParams))


@hookimpl
def gesso_register_stages(registry: Registrar[Stage]) -> None:
    registry.add(Stage(name="grid", label="Making the grid", anchor="publish", run=lazy(".stages:grid", StageFn)))
