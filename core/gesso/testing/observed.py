"""The child of `gesso.testing.observe`: imports one plugin and writes down what was seen."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from gesso.plugins.audit import Audit
from gesso.plugins.discovery import Entry
from gesso.plugins.guard import HeavyGuard
from gesso.plugins.host import Host
from gesso.plugins.patches import LIGHT, PatchWatch
from gesso.plugins.probe import examine
from gesso.plugins.state import LivePlugin
from gesso.references import Lazy
from gesso.testing.hosts import contents, registered
from gesso.testing.observe import end_with_parent


def main(arguments: list[str]) -> None:
    """Observe the plugin of the request file; ends without running anything it left behind."""
    end_with_parent()
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    result = Path(arguments[1])
    report = seen(Entry(**request["entry"]))
    result.write_text(json.dumps(report), encoding="utf-8")
    os._exit(0)


def seen(entry: Entry) -> dict[str, Any]:
    """Import and register the plugin under watch, then see which of its light references need torch."""
    host, watch, audit, process = Host("both"), PatchWatch(LIGHT), Audit(), psutil.Process()
    gc.collect()
    before, modules = surroundings(), set(sys.modules)
    memory, cpu, wall = process.memory_info().rss, time.process_time(), time.perf_counter()
    audit.on = True
    verdict = examine(entry, host, watch)
    audit.on = False
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    memory = process.memory_info().rss - memory
    after = surroundings()
    allowed = {entry.folder} if entry.folder else set()
    left = [name for name in after if _differs(name, before[name], after[name], allowed)]
    new = {name.partition(".")[0] for name in set(sys.modules) - modules}
    return {
        "state": verdict.state, "phase": verdict.phase, "error": verdict.error, "traceback": verdict.traceback,
        "cpu_ms": round(cpu * 1000, 1), "wall_ms": round(wall * 1000, 1), "mb": round(max(memory, 0) / 2**20, 1),
        "modules": sorted(new), "network": audit.network, "processes": audit.processes, "files": audit.files,
        "leftovers": left, **(alone(entry) if verdict.ok else {}),
    }  # fmt: skip


def surroundings() -> dict[str, Any]:
    """What a plugin may not leave changed. Folder, arguments and streams are put back by the host itself."""
    root = logging.getLogger()
    return {
        "environment variables": dict(os.environ),
        "running threads": sorted(t.name for t in threading.enumerate()),
        "signal handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "sys.path": list(sys.path),
        "sys.meta_path": list(sys.meta_path),
        "sys.excepthook": sys.excepthook,
        "recursion limit": sys.getrecursionlimit(),
        "root logger": (root.level, list(root.handlers)),
        "warning filters": [(f[0], f[2]) for f in warnings.filters if _is_blanket(f)],
        "socket timeout": socket.getdefaulttimeout(),
        "trace function": (sys.gettrace(), sys.getprofile()),
    }


def _is_blanket(entry: tuple[Any, ...]) -> bool:
    """Whether a warning filter acts on everybody's warnings: numpy, when it is imported, tunes a few of its own."""
    _, message, category, module, _ = entry
    return message is None and module is None and category.__module__ == "builtins"


def _differs(name: str, before: Any, after: Any, allowed: set[str]) -> bool:
    if name == "sys.path":
        return [p for p in after if p not in allowed] != [p for p in before if p not in allowed]
    return bool(before != after)


def alone(entry: Entry) -> dict[str, Any]:
    """A host with this plugin alone, and its light references (the host resolves them) that fail without torch."""
    host, plugin = Host("both"), LivePlugin(entry)
    host._plugins[entry.id] = plugin
    host._load_all([entry], {})
    host.fill()
    guard = HeavyGuard(advice="The host resolves this reference and has no torch.")
    guard.install()
    try:
        references = light_references(registered(host, entry.id))
        heavy = {str(reference): why for reference in references if (why := _failure(reference.load))}
    finally:
        guard.remove()
    return {"alone": asdict(contents(host)), "heavy_references": heavy}


def light_references(records: dict[str, list[Any]]) -> list[Lazy[Any]]:
    """What the protocols call light: what the host resolves and calls, detection, plans, token counts and checks."""
    found: list[Lazy[Any]] = []
    for family in records.get("families", ()):
        found += [family.detect, *(ref for part in family.parts.values() for ref in (part.config, part.plan))]
    for encoder in records.get("text_encoders", ()):
        found += [encoder.count_tokens, encoder.part.config, encoder.part.plan]
    for vae in records.get("vaes", ()):
        found += [vae.part.config, vae.part.plan]
    found += [adapter.recognise for adapter in records.get("adapters", ())]
    found += [task.resolve for task in records.get("tasks", ()) if task.resolve is not None]
    return found + [check.run for check in records.get("checks", ())]


def _failure(load: Callable[[], Any]) -> str:
    try:
        load()
    except BaseException as error:
        # A reference that is simply wrong is another check's matter.
        chain = error if not error.__cause__ else error.__cause__
        return str(chain) if "torch" in str(chain) or "HeavyImport" in type(chain).__name__ else ""
    return ""


if __name__ == "__main__":
    main(sys.argv[1:])
