"""Write docs/plugin_author/hooks.md from hookspecs.py: what each hook is, who uses it, what tests it.

python tools/hook_pages.py           write the page
python tools/hook_pages.py --check   fail when the page is not what it would write
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import gesso.hookspecs
from gesso.plugins.registries import REGISTRIES, SPECS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "plugin_author" / "hooks.md"
TESTED_BY = "tests/core/hooks/every_hook.py"

WITHOUT_CALLER: dict[str, str] = {}
"""Registries that nobody reads yet, with the feature that will."""
WITHOUT_USER = {
    "gesso_choose_family": "Kontext and other look-alikes",
    "gesso_filter_image": "upscaling and face repair",
    "gesso_filter_prompt": "wildcards",
    "gesso_on_job_event": "learning",
    "gesso_on_shutdown": "downloads",
    "gesso_on_startup": "downloads",
    "gesso_register_checks": "quantised weights",
}
"""Hooks no bundled plugin uses yet, with the feature that will. May only shrink: a test compares and counts."""

HEAD = """
# Hooks

Made from `core/gesso/hookspecs.py` by `tools/hook_pages.py`; a test fails when this page is not what it makes.

A hook is a function of this name in the plugin's module, marked with `@hookimpl`. It may take fewer of the arguments
than are listed. How the five verbs are called, and what a failure does, is said in [Plugins](../plugins.md).
"""
VERBS = {
    "register": "Every plugin is called once, at start or when the registry is first asked for. Fill `registry` with "
    "light records.",
    "choose": "Plugins are asked in turn, the one registered last first; the first answer that is not `None` is taken.",
    "filter": "Each plugin in turn may return another value; `None` leaves it as it is.",
    "wrap": "Return a context manager; all are entered, built-ins first, and left in reverse. `None`: not now.",
    "on": "An event. What is returned is ignored, and a failure breaks nothing.",
}
PROCESSES = {
    "host": "the host process, which serves page and commands and has no torch",
    "worker": "the worker process, which runs the jobs and has torch and the device",
    "both": "host and worker, each on its own; without torch in the host",
}
THREADS = {"on": "In the host a thread of the plugin's own; in the worker the job's."}


def sources(*roots: str) -> Iterator[tuple[str, str]]:
    """(path from the root, text) of the Python files below these folders."""
    for root in roots:
        for path in sorted((ROOT / root).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def implementations() -> dict[str, list[str]]:
    """Hook → the plugin modules of this repository that implement it."""
    found: dict[str, list[str]] = {name: [] for name in SPECS}
    for path, text in sources("builtin_extensions", "plugins"):
        if path.endswith("/plugin.py") and "/tests/" not in path:
            for node in ast.parse(text).body:
                if isinstance(node, ast.FunctionDef) and node.name in found:
                    found[node.name].append(path)
    return found


def callers() -> dict[str, list[str]]:
    """Hook → the files of core, page and plugins in which it is called, or its registry is read."""
    found: dict[str, list[str]] = {name: [] for name in SPECS}
    for path, text in sources("core/gesso", "ui/gesso_ui", "builtin_extensions/gesso_builtin", "plugins"):
        if path.startswith(("core/gesso/testing/", "core/gesso/hookspecs")):
            continue
        for name, spec in SPECS.items():
            marks = [rf'"{name}"']
            if spec.info.registry:
                marks.append(rf'registry\("{spec.info.registry}"\)')
            if any(re.search(mark, text) for mark in marks):
                found[name].append(path)
    return found


def tests() -> dict[str, list[str]]:
    """Hook → test files that implement it, the one that proves every hook fires first."""
    found: dict[str, list[str]] = {name: [] for name in SPECS}
    for path, text in sources("tests/core", "tests/builtin"):
        for name in found:
            if re.search(rf"def {name}\(", text):
                found[name].append(path)
    return {name: sorted(paths, key=lambda path: (path != TESTED_BY, path)) for name, paths in found.items()}


def page() -> str:
    """The page's whole text."""
    used, tested = implementations(), tests()
    lines = [HEAD.strip(), "", "| hook | verb | process |", "|---|---|---|"]
    lines += [f"| [`{name}`](#{name}) | {spec.info.verb} | {spec.info.process} |" for name, spec in SPECS.items()]
    for section, names in sections().items():
        lines += ["", f"## {section}"]
        for name in names:
            lines += ["", *entry(name, used[name], tested[name])]
    return "\n".join(lines) + "\n"


def sections() -> dict[str, list[str]]:
    """The headings of hookspecs.py and the hooks below each."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in inspect.getsource(gesso.hookspecs).splitlines():
        if match := re.match(r"# --- (.+?) -+$", line):
            heading = match[1].capitalize()
        elif (match := re.match(r"def (gesso_\w+)\(", line)) and match[1] in SPECS:
            found.setdefault(heading, []).append(match[1])
    return found


def entry(name: str, used: list[str], tested: list[str]) -> list[str]:
    """One hook's part of the page."""
    spec, function = SPECS[name], getattr(gesso.hookspecs, name)
    info = spec.info
    signature = str(inspect.signature(function)).replace("'", "")
    lines = [f"### {name}", "", "```text", f"{name}{signature}", "```", "", inspect.getdoc(function) or "", ""]
    lines.append(f"- **{info.verb}**: {VERBS[info.verb]}")
    lines.append(f"- Called in {PROCESSES[info.process]}. {THREADS.get(info.verb, '')}".rstrip())
    if info.registry:
        lines.append(
            f"- Fills the registry `{info.registry}` with `gesso.{REGISTRIES[info.registry].__name__}` records."
        )
    if info.phases:
        lines.append(f"- Phases, in this order: {', '.join(f'`{phase}`' for phase in info.phases)}.")
    lines.append(f"- Used by: {_paths(used) or f'no bundled plugin yet; to come with {WITHOUT_USER[name]}'}.")
    lines.append(f"- Tested in: {_paths(tested[:1])}.")
    return lines


def _paths(paths: list[str]) -> str:
    return ", ".join(f"`{path}`" for path in paths)


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        fresh = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
        print("The page is as it should be." if fresh else "The page is stale: run python tools/hook_pages.py")
        return 0 if fresh else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
