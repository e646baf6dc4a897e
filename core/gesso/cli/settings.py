"""`gesso settings`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.cli.app import guarded, load_service, print_json, print_table
from gesso.errors import InvalidInputError, UnknownNameError

if TYPE_CHECKING:
    from gesso.params import Params
    from gesso.service import Service

app = typer.Typer(help="Show and change the settings.", no_args_is_help=True, rich_markup_mode=None)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_(
    section: Annotated[str, typer.Argument(help="Only this section.")] = "",
    as_json: Json = False,
) -> None:
    """List the settings with their values; those that differ from the default are marked."""
    guarded(_list, as_json, section, as_json)


@app.command("set")
def set_(
    values: Annotated[list[str], typer.Argument(help="section.field=value, as outputs.format=webp")],
    as_json: Json = False,
) -> None:
    """Change settings. A gesso that runs takes most of them for the next job."""
    guarded(_set, as_json, values, as_json)


@app.command()
def reset(
    names: Annotated[list[str], typer.Argument(help="section.field, or a whole section")], as_json: Json = False
) -> None:
    """Give settings their default back."""
    guarded(_reset, as_json, names, as_json)


def _list(section: str, as_json: bool) -> None:
    service = load_service()
    chosen = {section: service.settings_record(section)} if section else service.sections()
    _print(service, chosen, as_json)


def _set(values: list[str], as_json: bool) -> None:
    service = load_service()
    changes: dict[str, dict[str, str]] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidInputError(f"{text!r} is no setting.", hint="Write section.field=value.")
        section, field = _split(service, name)
        changes.setdefault(section, {})[field] = value
    changed = {section: service.changed_settings(section, texts) for section, texts in changes.items()}
    for section, made in changed.items():
        service.settings.save(section, made)
    _print(service, {section: type(made) for section, made in changed.items()}, as_json)


def _reset(names: list[str], as_json: bool) -> None:
    service = load_service()
    touched = {}
    for name in names:
        section, field = (name, "") if name in service.sections() else _split(service, name)
        service.settings.save(section, service.default_settings(section, field))
        touched[section] = service.settings_record(section)
    _print(service, touched, as_json)


def _split(service: Service, name: str) -> tuple[str, str]:
    """Section (which may have a dot in its name) and field."""
    section, dot, field = name.strip().rpartition(".")
    if not dot:
        raise InvalidInputError(f"{name!r} names no field.", hint="Write section.field, as outputs.format.")
    if field not in (known := service.settings_record(section).model_fields):
        raise UnknownNameError(f"setting of {section}", field, known)
    return section, field


def _print(service: Service, sections: dict[str, type[Params]], as_json: bool) -> None:
    values: dict[str, dict[str, Any]] = {
        name: service.settings.section(name, record).model_dump(mode="json") for name, record in sections.items()
    }
    if as_json:
        print_json(values)
        return
    rows = []
    for name, record in sections.items():
        default = record().model_dump(mode="json")
        for field, info in record.model_fields.items():
            changed = "*" if values[name][field] != default[field] else ""
            text = info.title or ""
            rows.append([f"{name}.{field}", f"{values[name][field]}{changed}", text])
    print_table(["setting", "value", ""], rows, "There are no settings.")
