"""`gesso tasks`: work for the worker that is no generation."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.cli.app import guarded, load_service, print_json, print_table
from gesso.errors import InvalidInputError

if TYPE_CHECKING:
    from gesso.contributions import Task
    from gesso.types import JobEvent

app = typer.Typer(
    help="List and run tasks: checking models and other work of plugins.", no_args_is_help=True, rich_markup_mode=None
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the tasks plugins bring, with their fields."""
    guarded(_list, as_json, as_json)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="See `gesso tasks list`.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="field=value; repeat as needed.")] = None,
    inline: Annotated[bool, typer.Option("--inline", help="Run in this process, even if a page is served.")] = False,
    as_json: Json = False,
) -> None:
    """Run a task and show what came of it. Ctrl-C stops it; what it has finished is kept."""
    guarded(_run, as_json, name, settings or [], as_json, inline=inline)


def _list(as_json: bool) -> None:
    registry = load_service().host.registry("tasks")
    if as_json:
        print_json([_described(task, registry.owner(task.name)) for task in registry])
        return
    rows = [[task.name, task.description or task.label, registry.owner(task.name)] for task in registry]
    print_table(["task", "what it does", "plugin"], rows, "No plugin brings a task.")
    for task in registry:
        print(f"\n{task.name}")
        for field in _described(task, "")["fields"]:
            print(f"  --set {field['name']}={field['default']!s:12}  {field['description'] or field['label']}")


def _described(task: Task, owner: str) -> dict[str, Any]:
    from gesso.params import fields

    return {
        "name": task.name, "label": task.label, "description": task.description, "plugin": owner,
        "fields": [
            {"name": name, "label": info.label, "description": field.description or "",
             "default": field.get_default(call_default_factory=True)}
            for name, field, info in fields(task.params)
        ],
    }  # fmt: skip


def parse_fields(settings: list[str], task: str) -> dict[str, str]:
    """["model=a", "check.values=no"] → {"model": "a", "values": "no"}; the task's own name may stand in front."""
    found = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InvalidInputError(f"--set takes field=value, not {text!r}.")
        found[key.strip().removeprefix(f"{task}.")] = value
    return found


def _run(name: str, settings: list[str], as_json: bool, *, inline: bool) -> None:
    from gesso.cli.generate import Bar, interruptible
    from gesso.jobs.tasks import task_job

    service = load_service(attach=not inline)
    result: dict[str, Any] = {}
    try:
        job = task_job(service, name, parse_fields(settings, service.host.registry("tasks").get(name).name))

        def follow(event: JobEvent) -> None:
            if event.kind == "result":
                result.update(event.data["result"])
            bar.event(event)

        with Bar() as bar, interruptible() as control:
            done = service.save(service.run(job, follow, control))
    finally:
        service.close()
    files = [str(path) for path in done.files]
    if as_json:
        print_json({"job": job.id, "task": job.task, "interrupted": control.interrupted, "result": result,
                    "files": files})  # fmt: skip
    else:
        print_result(result)
        print("\n".join(files), end="\n" if files else "")
    if control.interrupted and not result:
        print("gesso: stopped before the task was done.", file=sys.stderr)
        raise SystemExit(130)
    if result.get("ok") is False:
        raise SystemExit(1)


def print_result(result: Mapping[str, Any]) -> None:
    """Lists of records as tables, everything else a line each, the message last."""
    for key, value in result.items():
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            headings = list(dict.fromkeys(heading for row in value for heading in row))
            print_table(headings, [[row.get(heading, "") for heading in headings] for row in value], "")
        elif key not in ("ok", "message"):
            print(f"{key}: {value}")
    if message := result.get("message"):
        print(message)
