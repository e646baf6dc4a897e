"""The probe child: `python -P -m gesso.plugins.probe REQUEST RESULTS` imports plugins nobody trusts yet and reports.

The parent (`gesso.plugins.prober`) watches the time and outlives whatever happens here. Results go line by line into a
file that is opened by name for each line, so that nothing a plugin prints or closes can reach them.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from gesso.paths import home_folder
from gesso.plugins.audit import Audit, declared
from gesso.plugins.boundary import HeavyImportError, api_of, explain, open_plugin
from gesso.plugins.cache import Verdict
from gesso.plugins.discovery import Entry
from gesso.plugins.guard import HEAVY_AT_IMPORT, HeavyGuard
from gesso.plugins.host import Host
from gesso.plugins.patches import LIGHT, MonkeyPatchError, PatchWatch
from gesso.plugins.registries import REGISTRIES, REGISTRY_HOOKS, kind_of
from gesso.plugins.state import LivePlugin
from gesso.plugins.surroundings import Surroundings
from gesso.registry import Registrar, Registry

_open, _write, _close = os.open, os.write, os.close  # a plugin may replace the names in os


def main(arguments: list[str]) -> None:
    """Probe the entries of the request file one after the other; ends without running anything plugins left behind."""
    request, results = arguments
    faulthandler.enable()
    host, surroundings, watch = Host("both"), Surroundings(), PatchWatch(LIGHT)
    audit = Audit(allowed=[Path(request).parent, home_folder()])
    for index, item in enumerate(json.loads(Path(request).read_text(encoding="utf-8"))):
        _report(results, {"start": index})
        verdict = examine(Entry(**item), host, watch, audit)
        surroundings.restore()
        _report(results, {"index": index, "threads": threading.active_count() - 1, "verdict": asdict(verdict)})
    os._exit(0)


def _report(path: str, line: dict[str, Any]) -> None:
    descriptor = _open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    _write(descriptor, json.dumps(line).encode() + b"\n")
    _close(descriptor)


def examine(entry: Entry, host: Host, watch: PatchWatch, audit: Audit | None = None) -> Verdict:
    """Import one plugin, register it, let it fill empty registries, and say what was seen.

    With `audit`, what it does without declaring it becomes its verdict's warnings.
    """
    plugin, heavy, phase = LivePlugin(entry), list[str](), "import"
    guard = HeavyGuard(
        HEAVY_AT_IMPORT,
        owners={entry.package: entry.id},
        on_attempt=heavy.append,
        advice="A plugin's entry-point module must import quickly; every command and the page import it.",
    )
    guard.install()
    start = perf_counter()
    missing = ""
    if audit is not None:
        audit.clear()
        audit.on = True
    try:
        code = open_plugin(entry)
        plugin.import_ms = (perf_counter() - start) * 1000
        plugin.api = api_of(code)
        plugin.capabilities = declared(code)
        phase = "register"
        host._register(plugin, code)
        commands = _commands(plugin)
        phase = "import"
        if heavy:  # caught by the plugin itself, which makes it no better
            raise HeavyImportError(
                f"The plugin {entry.id} imports {', '.join(sorted(set(heavy)))} when it is imported."
            )
        if changed := watch.changed():
            raise MonkeyPatchError(changed)
    except BaseException as error:
        plugin.fail(explain(entry, phase, error))
        missing = _missing(plugin.state, error)
        commands = ()
    finally:
        if audit is not None:
            audit.on = False
        guard.remove()
        watch.restore()
        host._unregister(plugin)
    return Verdict(
        state=plugin.state,
        phase=plugin.phase,
        error=plugin.error,
        traceback=plugin.traceback,
        hint=plugin.hint,
        missing=missing,
        import_ms=round(plugin.import_ms, 3),
        api=plugin.api,
        hooks=plugin.hooks,
        commands=commands,
        capabilities=plugin.capabilities,
        warnings=audit.undeclared(plugin.capabilities) if audit is not None else (),
    )


def _missing(state: str, error: BaseException) -> str:
    return (error.name or "").partition(".")[0] if state == "missing-deps" and isinstance(error, ImportError) else ""


def _commands(plugin: LivePlugin) -> tuple[tuple[str, str], ...]:
    """Call the plugin's register hooks with registries of its own; its subcommands are remembered for `--help`.

    What they raise is not judged here: the host meets the same error, with all other plugins' records around it.
    """
    commands: tuple[tuple[str, str], ...] = ()
    hooks = {hook: name for name, hook in REGISTRY_HOOKS.items()}
    for implementation in plugin.implementations:
        name = hooks.get(implementation.hook)
        if name is None:
            continue
        registry: Registry[Any] = Registry(kind_of(REGISTRIES[name]), REGISTRIES[name])
        try:
            implementation.function(*[Registrar(registry, plugin.entry.id)][: len(implementation.arguments)])
        except BaseException:
            continue
        if name == "commands":
            commands = tuple((str(command.name), str(command.help)) for command in registry)
    return commands


if __name__ == "__main__":
    main(sys.argv[1:])
