"""`gesso plugins doctor`, `report`, `reset`, `bisect`, `trace`, `profile`: whose fault it is, and what it costs."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.cli.app import CHOICE, guarded, print_json, print_table

if TYPE_CHECKING:
    from gesso.types import PluginState

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Here = Annotated[bool, typer.Option("--here", help="Load plugins here, even if a page runs that could tell.")]
CANNOT_TELL = (126, 127)
"""Exit statuses of a shell that could not run the command."""


def add_to(app: typer.Typer) -> None:
    """Add the commands to `gesso plugins`."""
    rest = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
    app.command("doctor")(doctor)
    app.command("report")(report)
    app.command("reset")(reset)
    app.command("profile")(profile)
    app.command("bisect", context_settings=rest)(bisect)
    app.command("trace", context_settings=rest)(trace)


def doctor(as_json: Json = False, here: Here = False) -> None:
    """Look for what is wrong with plugins and what they need, and say what to do. Ends with 1 when something is."""
    guarded(_doctor, as_json, as_json, here)


def report(
    name: Annotated[str, typer.Argument(help="One plugin; without a name all that matter.", metavar="[NAME]")] = "",
    as_json: Json = False,
    here: Here = False,
) -> None:
    """Print Markdown to paste into an issue: versions, states, errors. Nothing personal is in it."""
    guarded(_report, as_json, name, as_json, here)


def reset(
    name: Annotated[str, typer.Argument(help="A plugin's name, its distribution, or distribution:name.")],
    as_json: Json = False,
) -> None:
    """Give a plugin another chance: errors are forgotten, a quarantine ends, the next start probes it again."""
    guarded(_reset, as_json, name, as_json)


def bisect(
    ctx: typer.Context,
    as_json: Json = False,
    again: Annotated[bool, typer.Option("--again", help="Forget the answers given so far.")] = False,
) -> None:
    """Find the guilty plugin, with half of the suspects left out at a time.

    With a command (gesso plugins bisect -- CMD …) its exit status tells: 0 is well, anything else is the fault. CMD
    gets the choice by the variable GESSO_WITHOUT, which every gesso obeys. Without a command you are asked. What was
    answered is kept, so you may stop and go on later.
    """
    guarded(_bisect, as_json, list(ctx.args), as_json, again)


def trace(
    ctx: typer.Context,
    as_json: Json = False,
    out: Annotated[Path | None, typer.Option(help="Write the lines of JSON to this file, while it runs.")] = None,
    plugin: Annotated[str, typer.Option(help="Calls of this plugin alone (dist:name or a part of it).")] = "",
) -> None:
    """Run a gesso command and list every call of a plugin's hook: plugin, hook, arguments, ms.

    gesso plugins trace generate --inline "a red circle"
    """
    guarded(_trace, as_json, list(ctx.args), as_json, out, plugin)


def profile(
    as_json: Json = False,
    steps: Annotated[int, typer.Option(min=0, max=1000, help="Steps of the picture; 0: start-up alone.")] = 10,
) -> None:
    """Measure what each plugin costs at start and for a picture with the first model."""
    guarded(_profile, as_json, as_json, steps)


# --- states -------------------------------------------------------------------------------------------------------


def states_now(here: bool = False) -> tuple[list[PluginState], str]:
    """The states, and the address of the page that knows them; "" when plugins were loaded here to find out.

    What a running page and its worker met with is only known there. Options that choose plugins mean this process.
    """
    from gesso.types import PluginState

    url = "" if here or CHOICE.safe_mode or CHOICE.only is not None or CHOICE.without or CHOICE.plugins_dir else _page()
    if url and (rows := _ask(f"{url}/gesso/plugins")) is not None:
        return [PluginState.model_validate(row) for row in rows], url
    from gesso.plugins.desk import PluginDesk
    from gesso.plugins.host import Host
    from gesso.plugins.selection import Selection

    selection = Selection(CHOICE.safe_mode, CHOICE.only, CHOICE.without, CHOICE.plugins_dir)
    with Host.load("host", selection=selection) as host:
        host.fill()
        return PluginDesk(host).states(), ""


def _page() -> str:
    """The address of the page that holds this data folder, "" for none."""
    from gesso.jobs.lock import HostLock
    from gesso.paths import Paths

    holder = HostLock.holder(Paths.of().home)
    return holder.url if holder is not None else ""


def _ask(url: str, method: str = "GET") -> Any:
    """A page's answer; None when it does not give one."""
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _report(name: str, as_json: bool, here: bool) -> None:
    from gesso.plugins.report import report as made

    states, url = states_now(here)
    chosen = [one(name, states)] if name else []
    where = f"From the page on {url}." if url else ""
    text = made(states, [state.id for state in chosen], settings=where)
    if as_json:
        print_json({"report": text, "plugins": [s.model_dump(mode="json") for s in chosen or states]})
    else:
        sys.stdout.write(text)


def one(name: str, states: Sequence[PluginState]) -> PluginState:
    """The plugin of that name; UnknownNameError and InvalidInputError say what is wrong with it."""
    from gesso.errors import InvalidInputError, UnknownNameError

    found = [state for state in states if name in (state.name, state.dist, state.id)]
    if not found:
        raise UnknownNameError("plugin", name, [s.name for s in states] + [s.dist for s in states])
    if len(found) > 1:
        ids = ", ".join(state.id for state in found)
        raise InvalidInputError(f"{name!r} stands for {len(found)} plugins: {ids}.", hint="Give one of these names.")
    return found[0]


def _doctor(as_json: bool, here: bool) -> None:
    from gesso.plugins.discovery import discover
    from gesso.plugins.doctor import examine
    from gesso.plugins.installs.environment import installed

    states, _ = states_now(here)
    problems = examine(states, discover(CHOICE.plugins_dir), installed())
    if as_json:
        rows = [{"about": one.about, "problem": one.problem, "advice": one.advice} for one in problems]
        print_json({"ok": not problems, "plugins": len(states), "problems": rows})
    elif not problems:
        print(f"All {len(states)} plugins are well, and what they need is there.")
    for one in () if as_json else problems:
        print(f"{one.about}: {one.problem}\n    {one.advice}")
    if problems:
        raise SystemExit(1)


def _reset(name: str, as_json: bool) -> None:
    from urllib.parse import quote

    from gesso.paths import Paths
    from gesso.plugins.discovery import discover
    from gesso.plugins.selection import find_one
    from gesso.plugins.verdicts import forget

    entry = find_one(name, discover(CHOICE.plugins_dir).entries)
    forget(Paths.of(), entry.id)
    url = _page()
    there = bool(url) and _ask(f"{url}/gesso/plugins/{quote(entry.id)}/reset", "POST") is not None
    if as_json:
        print_json({"plugin": entry.id, "page": url if there else ""})
    else:
        print(f"{entry.id} is probed again at the next start." + (f" On {url} it is called again." if there else ""))


# --- bisect -------------------------------------------------------------------------------------------------------


def _bisect(command: list[str], as_json: bool, again: bool) -> None:
    from gesso.paths import Paths
    from gesso.plugins.bisect import Answers, find_guilty
    from gesso.plugins.cache import read_disabled
    from gesso.plugins.discovery import discover

    paths = Paths.of()
    off, entries = read_disabled(paths.plugin_settings), discover(CHOICE.plugins_dir).loadable
    left_out = _selection().left_out(entries)
    suspects = sorted(e.id for e in entries if not e.built_in and e.id not in off and e.id not in left_out)
    answers = Answers.load(paths.cache / "bisect.json", suspects)
    if again:
        answers.told.clear()
    runs = math.ceil(math.log2(max(len(suspects), 1))) + 2
    print(f"{len(suspects)} plugins; at most {runs} runs, {len(answers.told)} answered before.", file=sys.stderr)
    try:
        verdict = find_guilty(answers, _by_command(command) if command else _by_question)
    except KeyboardInterrupt:
        print("\ngesso: stopped; the same command goes on from here.", file=sys.stderr)
        raise SystemExit(130) from None
    answers.forget()
    if as_json:
        print_json({"guilty": verdict.guilty, "runs": verdict.runs, "suspects": len(suspects), "alone": verdict.alone})
        return
    print(f"It is {verdict.guilty}, after {verdict.runs} runs.")
    if not verdict.alone:
        print("It was found by leaving out the others; whether it is enough alone was not tried.")
    print(f"Do without it: gesso plugins disable {verdict.guilty}")
    print(f"Tell its author: gesso plugins report {verdict.guilty}")


def _selection() -> Any:
    from gesso.plugins.selection import Selection

    return Selection(CHOICE.safe_mode, CHOICE.only, CHOICE.without, CHOICE.plugins_dir)


def _by_command(command: list[str]) -> Any:
    def ask(without: Sequence[str]) -> bool:
        from gesso.errors import InvalidInputError

        environment = {**os.environ, "GESSO_WITHOUT": ",".join((*CHOICE.without, *without))}
        try:
            status = subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode
        except OSError as error:
            raise InvalidInputError(f"{command[0]!r} cannot be run: {error.strerror}.") from None
        if status in CANNOT_TELL:
            raise InvalidInputError(f"{command[0]!r} ended with {status}: it could not be run.")
        print(f"without {len(without)}: {'the fault' if status else 'well'} (exit status {status})", file=sys.stderr)
        return status != 0

    return ask


def _by_question(without: Sequence[str]) -> bool:
    from gesso.errors import InvalidInputError

    option = f" --without {','.join(without)}" if without else ""
    print(f"\nStart this, and try:\n    gesso{option}", file=sys.stderr)
    while True:
        print("Is the fault there? [y/n, q to go on later] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer or answer.strip().lower() in ("q", "quit"):
            raise InvalidInputError("Stopped; the same command goes on from here.")
        if answer.strip().lower() in ("y", "yes", "n", "no"):
            return answer.strip().lower().startswith("y")


# --- trace and profile --------------------------------------------------------------------------------------------


def _trace(command: list[str], as_json: bool, out: Path | None, plugin: str) -> None:
    from gesso.errors import InvalidInputError
    from gesso.plugins.trace import VARIABLE

    if not command:
        raise InvalidInputError("What shall be run?", hint='gesso plugins trace generate --inline "a red circle"')
    with tempfile.TemporaryDirectory(prefix="gesso-trace-") as folder:
        lines = (out or Path(folder, "trace.jsonl")).absolute()
        lines.parent.mkdir(parents=True, exist_ok=True)
        lines.write_bytes(b"")
        environment = {**os.environ, VARIABLE: str(lines)}
        # What the command prints goes to stderr: stdout has the calls.
        run = [sys.executable, "-P", "-m", "gesso", *_chosen(), *command]
        status = subprocess.run(run, env=environment, stdout=sys.stderr, check=False).returncode
        text = lines.read_text(encoding="utf-8")
    calls = [call for line in text.splitlines() if plugin in (call := json.loads(line))["plugin"]]
    if as_json:
        sys.stdout.writelines(json.dumps(call) + "\n" for call in calls)
    elif out is None:
        print_table(["ms", "process", "plugin", "hook", "arguments", "result"], [_row(c) for c in calls], "No calls.")
    else:
        print(f"{len(calls)} calls: {out}", file=sys.stderr)
    raise SystemExit(status)


def _chosen() -> list[str]:
    """The root command's options again."""
    options = ["--safe-mode"] if CHOICE.safe_mode else []
    options += ["--only", ",".join(CHOICE.only)] if CHOICE.only is not None else []
    options += ["--without", ",".join(CHOICE.without)] if CHOICE.without else []
    return options + (["--plugins-dir", str(CHOICE.plugins_dir)] if CHOICE.plugins_dir else [])


def _row(call: dict[str, Any]) -> list[str]:
    arguments = ", ".join(f"{name}={text}" for name, text in call["arguments"].items())
    result = call.get("error") or call.get("result", "")
    hook = call["hook"].removeprefix("gesso_")
    one_line = [text.replace("\n", " ")[:60] for text in (arguments, result)]
    return [f"{call['ms']:.3f}", call["process"], call["plugin"], hook, *one_line]


def _profile(as_json: bool, steps: int) -> None:
    from gesso.plugins.profile import profile as measured

    rows = measured(_selection(), steps)
    if as_json:
        print_json({"steps": steps, "plugins": rows})
        return
    headings = ["plugin", "import", "register", "job", "a step", "calls"]
    times = ("import_ms", "register_ms", "job_ms", "step_ms")
    table = [[row["plugin"], *(f"{row[key]:.2f} ms" for key in times), row["calls"]] for row in rows]
    print_table(headings, table, "No plugin is loaded.")
