"""`GESSO_TRACE=FILE`: a line of JSON for each call of a plugin's hook, in every process that starts from this one."""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

VARIABLE = "GESSO_TRACE"
LONGEST = 80
"""Characters of an argument or a result."""


class Tracer:
    """Writes to a file that several processes share: each line is one write at the end."""

    def __init__(self, path: str, process: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._process = process

    @classmethod
    def from_environment(cls, process: str) -> Tracer | None:
        """The tracer this process was started with, None without one."""
        path = os.environ.get(VARIABLE)
        return cls(path, process) if path else None

    def traced(self, plugin: str, hook: str, names: Sequence[str], function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with a line written after each call."""

        @functools.wraps(function)
        def call(*values: Any) -> Any:
            line: dict[str, Any] = {"time": round(time.time(), 4), "process": self._process, "pid": os.getpid()}
            line |= {"plugin": plugin, "hook": hook, "arguments": _arguments(names, values)}
            start = time.perf_counter_ns()
            try:
                result = function(*values)
            except BaseException as error:
                self._write(line, start, error=f"{type(error).__name__}: {short(str(error))}")
                raise
            self._write(line, start, result=short(result))
            return result

        return call

    def _write(self, line: dict[str, Any], start: int, **outcome: str) -> None:
        line["ms"] = round((time.perf_counter_ns() - start) / 1e6, 4)
        line["thread"] = threading.current_thread().name
        os.write(self._file, (json.dumps(line | outcome) + "\n").encode())


def _arguments(names: Sequence[str], values: Sequence[Any]) -> Mapping[str, str]:
    return {name: short(value) for name, value in zip(names, values, strict=False)}


def short(value: Any) -> str:
    """A value in a few words: no tensor is printed, and no object whose text might be long or fail."""
    kind = type(value).__name__
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, str):
        return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f"{kind} of {len(value)}"
    if (shape := getattr(value, "shape", None)) is not None:
        return f"{kind} {'×'.join(map(str, shape))}"
    for name in ("name", "kind", "index"):
        if isinstance(found := getattr(value, name, None), (str, int)):
            return f"{kind} {name}={short(found)}"
    return kind
