"""The options plugins' records add to `gesso generate`: `--strength 0.5`, `--init FILE`, `--init-dir FOLDER`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from gesso.errors import BadFileError, InvalidInputError, UnknownNameError

if TYPE_CHECKING:
    from gesso.service import Service

META = "gesso.options"


@dataclass(frozen=True)
class Option:
    """A short option: the section and field of the request it stands for, and what it takes."""

    flag: str
    section: str
    name: str
    default: Any
    description: str
    is_file: bool
    is_switch: bool


@dataclass
class Given:
    """What plugins' options said: texts by section and field, folders by the option's flag in the order given."""

    params: dict[str, dict[str, str]] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    service: Service | None = None
    """The service that knows the options, if one had to be made."""


class GenerateCommand(TyperCommand):
    """Takes options it does not know itself from the plugins' records, before the rest is read."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {name for parameter in self.params for name in (*parameter.opts, *parameter.secondary_opts)}
        given = Given()
        if any(_name(arg) not in known for arg in _options(args)) and "--help" not in args and "-h" not in args:
            from gesso.cli.app import guarded

            guarded(lambda: args.__setitem__(slice(None), _taken(args, known, given)), "--json" in args)
        ctx.meta[META] = given
        rest: list[str] = super().parse_args(ctx, args)
        return rest


def given_options(ctx: typer.Context) -> Given:
    """What plugins' options said on this command line."""
    found: Given = ctx.meta.get(META) or Given()
    return found


def plugin_options(service: Service) -> dict[str, Option]:
    """Every short option by its flag."""
    from gesso.params import fields, takes_file

    found = {}
    for record in service.host.registry("params"):
        for name, info_field, info in fields(record.params):
            if info.flag:
                default = info_field.get_default(call_default_factory=True)
                text = f"{info.label or name}. {info_field.description or ''}".strip()
                found[info.flag] = Option(
                    info.flag, record.name, name, default, text, takes_file(info_field), info_field.annotation is bool
                )
    return found


def file_params(service: Service, params: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The sections with paths in fields that take a file replaced by the stored file. BadFileError names the path."""
    from gesso.params import takes_file

    taken: dict[str, dict[str, Any]] = {}
    for section, data in params.items():
        record = service.host.registry("params").find(section)
        taken[section] = dict(data)
        for name, value in data.items():
            info_field = None if record is None else record.params.model_fields.get(name)
            if info_field is not None and takes_file(info_field) and isinstance(value, str) and _is_path(value):
                taken[section][name] = stored(service, Path(value)).model_dump()
    return taken


def stored(service: Service, path: Path) -> Any:
    """A picture of this machine, stored; BadFileError says what is wrong with it."""
    try:
        data = path.expanduser().read_bytes()
    except OSError as error:
        raise BadFileError(f"{path} cannot be read: {error.strerror or error}.") from None
    return service.take_picture(data, str(path))


def _is_path(text: str) -> bool:
    return bool(text.strip()) and not text.lstrip().startswith("{") and text.casefold() not in ("none", "null")


def _options(args: Sequence[str]) -> Iterable[str]:
    """The long options among arguments; what stands behind "--" is none."""
    for arg in args:
        if arg == "--":
            return
        if arg.startswith("--"):
            yield arg


def _name(arg: str) -> str:
    return arg.partition("=")[0]


def _taken(args: list[str], known: set[str], given: Given) -> list[str]:
    """The arguments without plugins' options, which go into `given`."""
    from gesso.cli.app import load_service

    given.service = load_service()
    options = plugin_options(given.service)
    rest: list[str] = []
    queue = list(args)
    while queue:
        arg = queue.pop(0)
        if arg == "--":
            return [*rest, arg, *queue]
        if not arg.startswith("--") or _name(arg) in known:
            rest.append(arg)
            continue
        _take(arg, queue, options, given)
    return rest


def _take(arg: str, queue: list[str], options: dict[str, Option], given: Given) -> None:
    """One plugin's option, its value taken from the queue where it needs one."""
    name, equals, value = arg[2:].partition("=")
    flag = name.removesuffix("-dir")
    option = options.get(name) or options.get(name.removeprefix("no-"))
    folder = option is None and flag != name and flag in options and options[flag].is_file
    if option is None and not folder:
        raise UnknownNameError("option", f"--{name}", [f"--{known}" for known in options])
    if option is not None and option.is_switch and not equals:
        value = "false" if name.startswith("no-") and name not in options else "true"
    elif not equals:
        if not queue:
            raise InvalidInputError(f"--{name} needs a value.")
        value = queue.pop(0)
    if folder:
        given.folders[flag] = Path(value)
    elif option is not None:
        given.params.setdefault(option.section, {})[option.name] = value
