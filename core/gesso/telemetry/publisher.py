"""One place through which every metric of a process goes."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from gesso.telemetry.times import JobTimes
from gesso.types import JobEvent, Metric

log = logging.getLogger("gesso.telemetry")
Listener = Callable[[Metric], None]
KEPT = 1000
MAX_ERRORS = 10


class Publisher:
    """Metrics in, listeners told; remembers the latest of each kind. Thread-safe."""

    def __init__(self) -> None:
        self._times = JobTimes()
        self._latest: OrderedDict[tuple[tuple[str, str], ...], Metric] = OrderedDict()
        self._listeners: dict[Listener, int] = {}
        self._lock = threading.Lock()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of every metric from now on, on the publishing thread; call the result to stop.

        A listener that fails ten times is left out.
        """
        with self._lock:
            self._listeners[listener] = 0
        return lambda: self._forget(listener)

    def publish(self, metric: Metric) -> None:
        """Remember a metric and tell it to every listener. Never raises for a listener."""
        # A job's or a process's number would make the memory of latest values grow for ever.
        key = tuple(sorted({"": metric.name, **metric.labels, "job": "", "pid": ""}.items()))
        with self._lock:
            self._latest[key] = metric
            self._latest.move_to_end(key)
            if len(self._latest) > KEPT:
                self._latest.popitem(last=False)
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(metric)
            except Exception:
                log.exception("A listener for metrics failed.")
                self._failed(listener)

    def metric(self, name: str, value: float, unit: str, **labels: str) -> None:
        """Publish a value with its unit ("s", "bytes", "1/s")."""
        self.publish(Metric(name=name, value=value, unit=unit, labels=labels))

    def job_event(self, event: JobEvent) -> None:
        """Publish what a job's event says: `ctx.metric` values, job and step times."""
        with self._lock:
            metrics = self._times.follow(event)
        for metric in metrics:
            self.publish(metric)

    def latest(self, name: str = "") -> list[Metric]:
        """The latest metric of each name and labels (but for job and process number), oldest first."""
        with self._lock:
            return [metric for metric in self._latest.values() if name in ("", metric.name)]

    def _forget(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.pop(listener, None)

    def _failed(self, listener: Listener) -> None:
        with self._lock:
            errors = self._listeners.get(listener, 0) + 1
            if errors >= MAX_ERRORS:
                self._listeners.pop(listener, None)
                log.error("It is left out after %d errors.", errors)
            elif listener in self._listeners:
                self._listeners[listener] = errors
