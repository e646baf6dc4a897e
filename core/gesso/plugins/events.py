"""Event hooks in the host: one bounded queue and one short-lived daemon thread per plugin.

A handler that blocks holds up its own events only; when its queue is full the oldest event is dropped and counted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from gesso.plugins.state import Implementation, LivePlugin

MAX_WAITING = 256

Event = tuple[Implementation, tuple[Any, ...]]


class EventQueue:
    """A plugin's waiting events, in order. The thread ends when the queue is empty and starts again with the next."""

    def __init__(
        self, plugin: LivePlugin, call: Callable[[Implementation, tuple[Any, ...]], None], size: int = MAX_WAITING
    ) -> None:
        self._plugin, self._call = plugin, call
        self._waiting: deque[Event] = deque()
        self._size = size
        self._changed = threading.Condition()
        self._running = False

    def put(self, implementation: Implementation, arguments: tuple[Any, ...]) -> None:
        """Queue an event; returns at once."""
        with self._changed:
            if len(self._waiting) >= self._size:
                self._waiting.popleft()
                self._plugin.dropped_events += 1
            self._waiting.append((implementation, arguments))
            if self._running:
                return
            self._running = True
        try:
            threading.Thread(target=self._run, name=f"events of {self._plugin.entry.id}", daemon=True).start()
        except RuntimeError:  # no more threads, or Python is ending: the next event tries again
            with self._changed:
                self._running = False

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._running = False
                    self._changed.notify_all()
                    return
                implementation, arguments = self._waiting.popleft()
            self._call(implementation, arguments)

    def drain(self, deadline: float) -> bool:
        """Wait until all events are handled, or until `time.monotonic()` reaches `deadline`; False if some are left."""
        with self._changed:
            while self._running:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True
