"""`gesso plugins`: what is installed, in which state, and why.

`enable` and `disable` load no plugin, so they work whatever the plugins do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.cli import plugins_diagnosis, plugins_install
from gesso.cli.app import CHOICE, guarded, print_json

if TYPE_CHECKING:
    from gesso.plugins.discovery import Discovery, Entry
    from gesso.types import PluginState

KINDS = (
    "sampler", "scheduler", "guider", "operator", "family", "stage", "adapter", "task", "tab", "params", "prompt",
    "route",
)  # fmt: skip
"""What there are templates for; a test compares it with their folders."""
app = typer.Typer(help="Install, list, check, enable and disable plugins.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Name = Annotated[str, typer.Argument(help="A plugin's name, its distribution, or distribution:name.", metavar="NAME")]


@app.command("list")
def list_(as_json: Json = False, here: plugins_diagnosis.Here = False) -> None:
    """List plugins with their states: those of the page where one runs, else as they load here."""
    guarded(_list, as_json, as_json, here)


@app.command("show")
def show(name: Name, as_json: Json = False, here: plugins_diagnosis.Here = False) -> None:
    """Show one plugin: its hooks, its calls, and the traceback if it failed."""
    guarded(_show, as_json, name, as_json, here)


@app.command("probe")
def probe(
    names: Annotated[list[str] | None, typer.Argument(help="Plugins to probe; all when none is named.")] = None,
    as_json: Json = False,
) -> None:
    """Import plugins in a child process and remember what came of it, whatever the cache says."""
    guarded(_probe, as_json, names or [], as_json)


@app.command("enable")
def enable(name: Name, as_json: Json = False) -> None:
    """Load the plugin again; it is probed first."""
    guarded(_set_enabled, as_json, name, True, as_json)


@app.command("disable")
def disable(name: Name, as_json: Json = False) -> None:
    """Do not load the plugin any more."""
    guarded(_set_enabled, as_json, name, False, as_json)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="What it is to be called, such as my-sampler.")],
    kind: Annotated[str, typer.Option(help="What it brings: " + ", ".join(KINDS) + ".")] = "sampler",
    into: Annotated[Path, typer.Option(help="The folder in which the project's folder is made.")] = Path(),
) -> None:
    """Write a new plugin's project, whose tests pass as they are."""
    guarded(_new, False, name, kind, into)


@app.command("validate")
def validate(
    path: Annotated[Path, typer.Argument(help="A project's folder, a package with plugin.py, or a single file.")],
    as_json: Json = False,
) -> None:
    """Judge a plugin by its source; nothing of it is imported."""
    guarded(_validate, as_json, path, as_json)


@app.command("dev")
def dev(
    path: Annotated[Path, typer.Argument(help="A project's folder, a package with plugin.py, or a single file.")],
    smoke: Annotated[bool, typer.Option("--smoke/--no-smoke", help="Also run the quick checks of the suite.")] = True,
    page: Annotated[bool, typer.Option("--page", help="Serve the page with it, anew after each good save.")] = False,
) -> None:
    """Load the plugin again at every save, and say what changed and what fails. Ctrl-C ends it."""
    guarded(_dev, False, path, smoke, page)


def _dev(path: Path, smoke: bool, page: bool) -> None:
    from gesso.cli.plugins_dev import Dev, find_target

    Dev(find_target(path), smoke, page, lambda line: print(line, flush=True)).run()


def _validate(path: Path, as_json: bool) -> None:
    from gesso.cli.plugins_validate import validate as judged

    problems = judged(path)
    if as_json:
        print_json([{"path": str(p.path), "line": p.line, "problem": p.text} for p in problems])
    else:
        print("\n".join(map(str, problems)) or f"Nothing is wrong with {path} as far as its source tells.")
    if problems:
        raise SystemExit(1)


def _new(name: str, kind: str, into: Path) -> None:
    from gesso.cli.plugins_new import new_plugin

    written = new_plugin(name, kind, into)
    root = next(path.parent for path in written if path.name == "pyproject.toml")
    for path in written:
        print(path)
    print(f"\nNext: pip install -e {root}, then gesso plugins list and gesso smoke {root.name.removeprefix('gesso-')}")


def _list(as_json: bool, here: bool) -> None:
    states, url = plugins_diagnosis.states_now(here)
    if url:
        print(f"gesso: as the page on {url} has them; --here loads them anew.", file=sys.stderr)
    _print_states(states, as_json)


def _print_states(states: Sequence[PluginState], as_json: bool) -> None:
    from gesso.plugins.state import table, to_json

    if as_json:
        print_json(to_json(states))
    elif not states:
        print("No plugins are installed.")
    else:
        from rich.console import Console

        # Not cut to 80 columns when it goes into a file or a pipe.
        console = Console() if sys.stdout.isatty() else Console(width=200)
        console.print(table(states))


def _show(name: str, as_json: bool, here: bool) -> None:
    state = plugins_diagnosis.one(name, plugins_diagnosis.states_now(here)[0])
    if as_json:
        print_json(state.model_dump(mode="json"))
        return
    for field, value in state.model_dump(mode="json").items():
        if field not in ("traceback", "hook_states") and value not in ("", []):
            print(f"{field:18} {', '.join(value) if isinstance(value, list) else value}")
    for hook in state.hook_states:
        print(f"    {hook.hook:34} {hook.process:7} {hook.calls} calls, {hook.errors} errors, {hook.total_ms:.2f} ms")
    if state.traceback:
        print(f"\n{state.traceback.rstrip()}")


def _discover() -> Discovery:
    from gesso.plugins.discovery import discover

    return discover(CHOICE.plugins_dir)


def _find(names: Sequence[str], entries: Sequence[Entry]) -> list[Entry]:
    from gesso.plugins.selection import find

    return [entry for name in names for entry in find(name, entries)]


def _probe(names: list[str], as_json: bool) -> None:
    from gesso.paths import Paths
    from gesso.plugins.verdicts import judge

    found = _discover()
    chosen = [entry for entry in _find(names, found.entries) if not entry.error] if names else list(found.loadable)
    verdicts = judge(chosen, found, Paths.of(), force={entry.id for entry in chosen})
    rows: list[dict[str, Any]] = []
    for entry in chosen:
        verdict = verdicts[entry.id]
        rows.append({"name": entry.name, "dist": entry.dist, "version": entry.version, **verdict.for_people()})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(
            f"{row['state']:12} {row['dist']}:{row['name']} {row['version']}  {row['import_ms']:.1f} ms  {row['error']}"
        )


def _set_enabled(name: str, enabled: bool, as_json: bool) -> None:
    from gesso.paths import Paths
    from gesso.plugins.cache import read_cache
    from gesso.plugins.following import needs_start
    from gesso.plugins.selection import find_one
    from gesso.plugins.verdicts import set_enabled

    entry = find_one(name, _discover().entries)
    verdict = read_cache(Paths.of().plugin_cache).get(entry.id)
    set_enabled(Paths.of(), entry.id, enabled)
    at_once = verdict is not None and verdict.ok and not needs_start(verdict.hooks)
    if as_json:
        print_json({"plugin": entry.id, "enabled": enabled, "at_once": at_once})
        return
    when = "at once, in a gesso that runs too" if at_once else "from the next start on"
    print(f"{entry.id} is {'enabled' if enabled else 'disabled'} {when}.")


plugins_install.add_to(app)
plugins_diagnosis.add_to(app)
