"""The command `gesso`. Start-up is kept light: commands import what they need when they run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gesso.cli import doctor, explain, generate, history, info, lists, models, plugins, settings, smoke, tasks, ui
from gesso.cli.app import CHOICE, guarded, load_service
from gesso.cli.options import GenerateCommand

root = typer.Typer(
    name="gesso",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
root.command("ui")(ui.command)
root.command("generate", cls=GenerateCommand)(generate.command)
root.command("info")(info.command)
root.command("explain")(explain.command)
root.add_typer(history.app, name="history")
root.add_typer(models.app, name="models")
root.add_typer(settings.app, name="settings")
root.command("samplers")(lists.samplers)
root.command("schedulers")(lists.schedulers)
root.add_typer(plugins.app, name="plugins")
root.command("smoke")(smoke.command)
root.add_typer(tasks.app, name="tasks")
root.command("doctor")(doctor.command)


def _version(wanted: bool) -> None:
    if wanted:
        import gesso

        print(f"gesso {gesso.__version__}")
        raise typer.Exit


@root.callback(invoke_without_command=True)
def options(
    ctx: typer.Context,
    safe_mode: Annotated[bool, typer.Option("--safe-mode", help="Load built-in plugins only.")] = False,
    only: Annotated[
        str | None, typer.Option(envvar="GESSO_ONLY", help="Load only these plugins (names, comma-separated).")
    ] = None,
    without: Annotated[str | None, typer.Option(envvar="GESSO_WITHOUT", help="Do not load these plugins.")] = None,
    plugins_dir: Annotated[Path | None, typer.Option(help="Also load every plugin file in this folder.")] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """gesso: a plugin host for diffusion image and video generation. Without a command it serves the page."""
    CHOICE.safe_mode = safe_mode
    CHOICE.only = None if only is None else _names(only)
    CHOICE.without = _names(without or "")
    CHOICE.plugins_dir = plugins_dir
    if ctx.invoked_subcommand is None:
        ctx.invoke(ui.command)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def add_plugin_commands(arguments: Sequence[str] = ()) -> None:
    """Plugins' commands as the probe's cache knows them; the plugin itself is loaded when its command runs."""
    from gesso.plugins.cache import cached_commands

    own = {
        "ui", "generate", "info", "explain", "history", "models", "settings", "samplers", "schedulers", "plugins",
        "smoke", "tasks", "doctor",
    }  # fmt: skip
    commands = cached_commands()
    wanted = arguments[0] if arguments and not arguments[0].startswith("-") else ""
    if wanted and wanted not in own and wanted not in {command.name for command in commands}:
        # A fresh data folder, or a plugin installed since the last start: loading probes what is new.
        guarded(lambda: load_service().close(), as_json=False)
        commands = cached_commands()
    for command in commands:
        if command.name not in own:
            root.command(
                command.name,
                help=command.help,
                add_help_option=False,
                context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
            )(_run_plugin_command)


def _run_plugin_command(ctx: typer.Context) -> None:
    guarded(_plugin_command, "--json" in ctx.args, str(ctx.info_name), list(ctx.args))


def _plugin_command(name: str, arguments: list[str]) -> None:
    service = load_service()
    app = service.host.registry("commands").get(name).app.load()
    if not isinstance(app, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name)(app)
        app = single
    app(args=arguments, prog_name=f"gesso {name}", obj=service)


def main() -> None:
    """Entry point: runs the command line and leaves with its exit code."""
    add_plugin_commands(sys.argv[1:])
    try:
        root()
    except BrokenPipeError:
        # The reader of our output has gone (`gesso … | head`); there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
