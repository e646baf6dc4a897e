"""What to paste into an issue: versions, states and errors of plugins, with nothing personal in it."""

from __future__ import annotations

import getpass
import importlib.metadata
import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import gesso
from gesso.types import PluginState

PACKAGES = ("torch", "numpy", "diffusers", "transformers", "safetensors", "gradio", "pydantic", "pluggy")
_SECRET = re.compile(
    r"(?i)((?:api[_-]?key|token|secret|passw(?:or)?d|authorization)[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?)[^\s'\",;]{4,}"
)
_IN_URL = re.compile(r"(://)[^/\s:@]+:[^/\s@]+@")


def report(states: Iterable[PluginState], names: Sequence[str] = (), *, settings: str = "") -> str:
    """Markdown: versions, every plugin that does not ship with gesso or has an error, tracebacks.

    `names` (ids) limit it to those plugins. The home folder is shortened to ~, a person's login, and what looks like a
    password or a key, is left out.
    """
    chosen = [s for s in states if (s.id in names if names else not s.built_in or s.error)]
    lines = ["### gesso", "", "| | |", "|---|---|", *(f"| {name} | {version} |" for name, version in versions()), ""]
    if settings:
        lines += [settings, ""]
    lines += ["### Plugins", ""]
    if not chosen:
        lines.append("None beside gesso's own, and those are well.")
    else:
        lines += ["| plugin | version | state | where | import | calls | errors | time |", "|---" * 8 + "|"]
        lines += [_row(state) for state in chosen]
    for state in chosen:
        if state.error:
            lines += _details(state)
    return without_secrets("\n".join(lines)) + "\n"


def versions() -> list[tuple[str, str]]:
    """Versions that matter in an issue: gesso's, Python's, the system's, the large packages'."""
    found = [("gesso", gesso.__version__), ("Python", platform.python_version()), ("System", platform.platform())]
    for name in PACKAGES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            found.append((name, "not installed"))
    return found


def without_secrets(text: str) -> str:
    """The text with the home folder as ~, and without the login, passwords in addresses, keys and tokens."""
    text = text.replace(str(Path.home()), "~")
    try:
        login = getpass.getuser()
    except (OSError, KeyError):  # no entry for this user
        login = ""
    if len(login) > 2 and login != "root":
        text = re.sub(rf"\b{re.escape(login)}\b", "user", text)
    return _SECRET.sub(r"\1…", _IN_URL.sub(r"\1…@", text))


def _row(state: PluginState) -> str:
    where = " ".join(part for part in (state.phase, state.hook) if part)
    cells = [
        f"`{state.id}`", state.version or "?", state.state, where, f"{state.import_ms:.1f} ms", str(state.calls),
        str(state.errors), f"{state.total_ms:.1f} ms",
    ]  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _details(state: PluginState) -> list[str]:
    lines = ["", f"#### `{state.id}` {state.version}", "", f"{state.phase} {state.hook}: {state.error}".strip()]
    if state.hint:
        lines += ["", state.hint]
    if state.traceback:
        lines += ["", "```text", state.traceback.rstrip().replace("```", "'''"), "```"]
    return lines
