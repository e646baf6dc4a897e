"""`gesso samplers` and `gesso schedulers`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gesso.cli.app import guarded, load_service, print_json, print_table

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def samplers(as_json: Json = False) -> None:
    """List samplers."""
    guarded(_samplers, as_json, as_json)


def _samplers(as_json: bool) -> None:
    registry = load_service().host.registry("samplers")
    rows = [
        _row(registry, s) | {"default_scheduler": s.default_scheduler, "second_order": s.second_order} for s in registry
    ]
    _show(rows, ("label", "name", "default_scheduler", "aliases", "plugin"), as_json, "No samplers are registered.")


def schedulers(as_json: Json = False) -> None:
    """List sigma schedules."""
    guarded(_schedulers, as_json, as_json)


def _schedulers(as_json: bool) -> None:
    registry = load_service().host.registry("schedulers")
    _show(
        [_row(registry, s) for s in registry],
        ("label", "name", "aliases", "plugin"),
        as_json,
        "No schedulers are registered.",
    )


def _row(registry: Any, item: Any) -> dict[str, Any]:
    options = (
        [] if item.options is None else [f"{name}={field.default}" for name, field in item.options.model_fields.items()]
    )
    return {
        "name": item.name, "label": item.label, "aliases": list(item.aliases), "options": options,
        "source": item.source, "plugin": registry.owner(item.name),
    }  # fmt: skip


def _show(rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool, empty: str) -> None:
    if as_json:
        print_json(rows)
        return
    text = [[", ".join(row[c]) if isinstance(row[c], list) else row[c] for c in columns] for row in rows]
    print_table([c.replace("_", " ") for c in columns], text, empty)
