"""A time limit for what the host waits for. Python cannot end a thread: one that overstays is left behind, once."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gesso.errors import GessoError

HOOK_SECONDS = 10.0
"""What a plugin's choose or filter hook may take in the process that serves the page."""


BUILD_SECONDS = 30.0
"""What the building of a plugin's tab may take."""


class HookTimeoutError(GessoError):
    """A plugin's code did not come back."""


@contextmanager
def alarmed(seconds: float | None = None) -> Iterator[None]:
    """HookTimeoutError is raised in the body after so many seconds (`BUILD_SECONDS`).

    By a signal, which interrupts sleeping and waiting but no loop in C. Without effect outside of the main thread, on
    Windows, and where somebody else has set a timer.
    """
    seconds = BUILD_SECONDS if seconds is None else seconds
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not usable or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def ring(number: int, frame: object) -> None:
        raise HookTimeoutError(f"It had not come to an end after {seconds:g} s.")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def limited(function: Callable[..., Any], arguments: tuple[Any, ...], name: str) -> Any:
    """What the function returns or raises, or HookTimeoutError after `HOOK_SECONDS`."""
    answer: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def call() -> None:
        try:
            answer.put((function(*arguments), None))
        except BaseException as error:
            answer.put((None, error))

    threading.Thread(target=call, name=name, daemon=True).start()
    try:
        value, error = answer.get(timeout=HOOK_SECONDS)
    except queue.Empty:
        raise HookTimeoutError(f"It had not come back after {HOOK_SECONDS:g} s.") from None
    if error is not None:
        raise error
    return value
