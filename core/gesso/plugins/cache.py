"""What the probe found out about each plugin, kept in one file, so that a start probes only what is new.

`--help` reads the subcommands from the first line of this file and nothing else, whatever the number of plugins; so
this module imports neither pluggy nor pydantic.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from gesso.files import write_whole
from gesso.paths import Paths

SCHEMA = 1


class CachedCommand(NamedTuple):
    """A subcommand of `gesso` that a plugin contributes."""

    name: str
    help: str
    plugin: str
    """`dist:name` of its plugin."""


@dataclass(frozen=True)
class Verdict:
    """What the probe says of a plugin. `key` and `environment` tell for what it holds."""

    key: str = ""
    environment: str = ""
    state: str = "enabled"
    phase: str = ""
    error: str = ""
    traceback: str = ""
    hint: str = ""
    missing: str = ""
    """The module a plugin lacks, when that is all it lacks."""
    import_ms: float = 0.0
    api: str = ""
    hooks: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    capabilities: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What was seen of it that should not be; it is loaded all the same."""
    crashes: int = 0
    """How often a process ended while it loaded this plugin after a good probe."""

    @property
    def ok(self) -> bool:
        return self.state == "enabled"

    def for_people(self) -> dict[str, Any]:
        """All but what the cache alone needs."""
        return {name: value for name, value in asdict(self).items() if name not in ("key", "environment", "crashes")}


def read_cache(path: Path) -> dict[str, Verdict]:
    """The verdicts by plugin id; an unreadable cache is an empty one."""
    try:
        data = json.loads(path.read_bytes())
        if data["schema"] != SCHEMA:
            return {}
        return {id_: verdict_from_json(item) for id_, item in data["plugins"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def write_cache(path: Path, verdicts: Mapping[str, Verdict]) -> None:
    """Replace the cache whole. The commands go into the first line of the JSON document."""
    commands = [(name, help_, id_) for id_, v in verdicts.items() if v.ok for name, help_ in v.commands]
    head = json.dumps({"schema": SCHEMA, "commands": commands})
    body = ",\n".join(f"{json.dumps(id_)}: {json.dumps(asdict(v))}" for id_, v in verdicts.items())
    write_whole(path, f'{head[:-1]},\n"plugins": {{\n{body}\n}}}}\n')


def cached_commands(home: Path | str | None = None) -> list[CachedCommand]:
    """The subcommands of probed plugins that are not disabled. One line is read; nothing is imported or probed."""
    paths = Paths.of(home)
    try:
        with paths.plugin_cache.open("rb") as file:
            head = json.loads(file.readline().rstrip().removesuffix(b",") + b"}")
        commands = [CachedCommand(*map(str, item)) for item in head["commands"]] if head["schema"] == SCHEMA else []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    disabled = read_disabled(paths.plugin_settings)
    return [command for command in commands if command.plugin not in disabled]


def verdict_from_json(item: dict[str, Any]) -> Verdict:
    """A verdict from JSON; anything of another type is an error, which makes the cache unreadable."""
    values: dict[str, Any] = {}
    for field in fields(Verdict):
        value = item[field.name]
        if field.name == "commands":
            value = tuple((str(name), str(help_)) for name, help_ in value)
        elif field.name in ("hooks", "capabilities", "warnings"):
            value = tuple(map(str, value))
        elif type(value) is not type(field.default) and not (field.name == "import_ms" and isinstance(value, int)):
            raise TypeError(field.name)
        values[field.name] = value
    return Verdict(**values)


# --- which plugins are disabled -----------------------------------------------------------------------------------


def read_disabled(path: Path) -> set[str]:
    """Ids of the plugins a person has disabled; a damaged file disables nothing, which is logged."""
    try:
        return {str(id_) for id_ in json.loads(path.read_bytes())["disabled"]}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        import logging

        logging.getLogger("gesso.plugins").warning("%s cannot be read; no plugin is disabled: %s", path, error)
        return set()


def write_disabled(path: Path, ids: Iterable[str]) -> None:
    """Replace the list of disabled plugins."""
    write_whole(path, json.dumps({"disabled": sorted(ids)}, indent=1) + "\n")
