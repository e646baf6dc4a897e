"""A task that is cancelled ends at once."""

from __future__ import annotations

from gesso import JobCancelledError, JobEvent, Task
from gesso.testing import run_task
from gesso_smoke.rules import Needs, NotApplicable, broken
from gesso_smoke.subject import Subject

OF = "tasks"
NEEDS: Needs = "code"


def check(subject: Subject, item: Task) -> None:
    after: list[JobEvent] = []

    def cancel(event: JobEvent) -> bool:
        if after or (event.kind == "progress" and event.data["stage"] != "batch"):
            after.append(event)
        return bool(after)

    try:
        run_task(subject.host, item, cancel)
    except JobCancelledError:
        return
    except Exception as error:
        raise NotApplicable(f"It fails: see the check task_runs ({error}).") from None
    if not after:
        raise NotApplicable("It tells no progress: see the check task_runs.")
    broken("Cancelled at its first ctx.progress, it goes on to its end: it swallows JobCancelledError.")
