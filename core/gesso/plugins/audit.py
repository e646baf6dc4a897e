"""What a plugin does when it is imported, by Python's audit events, and what it says it does: its capabilities.

Nothing is prevented. An audit hook sees what goes through Python's own functions; C code is not seen.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from gesso.errors import InvalidInputError

CAPABILITIES = ("network", "subprocess", "filesystem")
"""What a plugin declares as `capabilities`: it connects to others, starts programs, writes files outside GESSO_HOME."""
NETWORK = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname",
           "urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect")  # fmt: skip
PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty",
             "os.startfile", "pty.spawn")  # fmt: skip
FILES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.symlink", "os.link")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
MAX_SEEN = 20


class Audit:
    """Python's audit events of one stretch of time. A hook cannot be removed again, so it is switched off."""

    def __init__(self, allowed: Collection[Path] = ()) -> None:
        self.on = False
        self.network: list[str] = []
        self.processes: list[str] = []
        self.files: list[str] = []
        self._allowed = tuple(os.path.realpath(path) + os.sep for path in allowed)
        """Folders below which files may be written."""
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in NETWORK:
            _note(self.network, event, args)
        elif event in PROCESSES:
            _note(self.processes, event, args)
        elif (event in FILES or (event == "open" and _writes(args))) and not self._is_free(args[0]):
            _note(self.files, event, args[:1])

    def clear(self) -> None:
        """Forget what was seen."""
        for seen in (self.network, self.processes, self.files):
            seen.clear()

    def undeclared(self, declared: Collection[str]) -> tuple[str, ...]:
        """One sentence for each capability that was used and is not among `declared`."""
        seen = {"network": self.network, "subprocess": self.processes, "filesystem": self.files}
        return tuple(
            f"It uses {name} when it is imported and does not declare it: {events[0]}"
            for name, events in seen.items()
            if events and name not in declared
        )

    def _is_free(self, path: Any) -> bool:
        """Bytecode, the null device, and what lies in an allowed folder."""
        if isinstance(path, int):
            return True
        text = os.fsdecode(path)
        if "__pycache__" in text or text == os.devnull:
            return True
        return bool(self._allowed) and (os.path.realpath(text) + os.sep).startswith(self._allowed)


def _note(seen: list[str], event: str, args: tuple[Any, ...]) -> None:
    if len(seen) < MAX_SEEN:
        shown = [a for a in args if isinstance(a, (str, bytes, int, tuple, list))]
        seen.append(f"{event} {', '.join(map(repr, shown))}"[:200])


def _writes(args: tuple[Any, ...]) -> bool:
    _, mode, flags = args
    return any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool((flags or 0) & WRITING)


def declared(plugin: Any) -> tuple[str, ...]:
    """What an imported plugin declares; InvalidInputError for anything but known words."""
    return checked(getattr(plugin, "capabilities", ()))


def checked(value: Any) -> tuple[str, ...]:
    """Capabilities as a plugin gives them, sorted; InvalidInputError says what is wrong."""
    if isinstance(value, (str, bytes)) or not isinstance(value, (tuple, list, set, frozenset)):
        raise InvalidInputError('Its capabilities are no tuple of words: capabilities = ("network",).')
    unknown = sorted({str(word) for word in value} - set(CAPABILITIES))
    if unknown:
        known = ", ".join(CAPABILITIES)
        raise InvalidInputError(f"It declares unknown capabilities: {', '.join(unknown)}; known: {known}.")
    return tuple(sorted(map(str, value)))


def declared_in(source: Path) -> tuple[str, ...]:
    """What a plugin's module declares, read without running it; () where it is not a plain tuple."""
    try:
        node = declaration(ast.parse(source.read_text(encoding="utf-8")))
        return tuple(sorted(map(str, ast.literal_eval(node)))) if node is not None else ()
    except (OSError, ValueError, SyntaxError, TypeError):
        return ()


def declaration(tree: ast.Module) -> ast.expr | None:
    """What a module's source says its `capabilities` are; None for a module without."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "capabilities" for target in targets):
            value: ast.expr | None = getattr(node, "value", None)
            return value
    return None
