"""`gesso explain`: the resolved order of stages and whose they are."""

from __future__ import annotations

from typing import Annotated

import typer

from gesso.cli.app import guarded, load_service, print_json, print_table


def command(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """Show the stages a generation goes through, and whose they are."""
    guarded(_explain, as_json, as_json)


def _explain(as_json: bool) -> None:
    from gesso.engine.stages import resolve_order

    registry = load_service().host.registry("stages")
    order, problems = resolve_order(registry)
    rows = [{"anchor": s.anchor, "stage": s.name, "label": s.label, "plugin": registry.owner(s.name)} for s in order]
    if as_json:
        print_json({"stages": rows, "problems": {n: f"{registry.owner(n)}: {p}" for n, p in problems.items()}})
        return
    print_table(["anchor", "stage", "plugin"], [[r["anchor"], r["stage"], r["plugin"]] for r in rows], "No stages.")
    for name, problem in problems.items():
        print(f"left out: {registry.owner(name)}: the stage {name} {problem}")
