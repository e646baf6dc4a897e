"""Job and step times, read off a job's events."""

from __future__ import annotations

from gesso.types import JobEvent, Metric

ENDS = ("done", "interrupted", "cancelled", "failed")


class JobTimes:
    """Follows job events of any number of jobs and makes metrics of them.

    `job.time`: seconds, at the end, labelled with the state. `step.time`: seconds, after each sampling step but a run's
    first, whose start nobody tells.
    """

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._stepped: dict[str, float] = {}

    def follow(self, event: JobEvent) -> list[Metric]:
        """The metrics an event gives rise to; a "metric" event is one itself."""
        data, job = event.data, event.job
        if event.kind == "metric":
            return [self._metric(event, str(data["name"]), float(data["value"]), str(data["unit"]))]
        if event.kind == "stage":
            self._stepped.pop(job, None)
        elif event.kind == "progress" and data.get("stage") == "sample":
            return self._step(event)
        elif event.kind == "state":
            return self._state(event, str(data.get("state", "")))
        return []

    def _step(self, event: JobEvent) -> list[Metric]:
        before = self._stepped.get(event.job)
        self._stepped[event.job] = event.time
        first = event.data.get("done") == 1
        return [] if before is None or first else [self._metric(event, "step.time", event.time - before, "s")]

    def _state(self, event: JobEvent, state: str) -> list[Metric]:
        if state == "running":
            self._started[event.job] = event.time
        if state not in ENDS:
            return []
        self._stepped.pop(event.job, None)
        started = self._started.pop(event.job, None)
        return [] if started is None else [self._metric(event, "job.time", event.time - started, "s", state=state)]

    @staticmethod
    def _metric(event: JobEvent, name: str, value: float, unit: str, **labels: str) -> Metric:
        return Metric(name=name, value=value, unit=unit, time=event.time, labels={"job": event.job, **labels})
