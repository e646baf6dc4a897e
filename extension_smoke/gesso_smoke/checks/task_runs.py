"""A task runs with its example, tells how far it is, and ends with plain data."""

from __future__ import annotations

from gesso import JobEvent, Task
from gesso.testing import run_task
from gesso_smoke.rules import Needs, broken, require
from gesso_smoke.subject import Subject

OF = "tasks"
NEEDS: Needs = "code"


def check(subject: Subject, item: Task) -> None:
    events: list[JobEvent] = []
    try:
        run_task(subject.host, item, events.append)
    except Exception as error:
        broken(f"With {dict(item.example) or 'its defaults'} it fails: {type(error).__name__}: {error}")
    told = [event.data for event in events if event.kind == "progress" and event.data["stage"] != "batch"]
    require(told, "It never calls ctx.progress: nobody sees how far it is, and a cancel does not reach it.")
    last: dict[str, int] = {}
    for data in told:
        stage, done, total = data["stage"], data["done"], data["total"]
        require(0 <= done <= total, f"It tells {done} of {total} ({stage}).")
        require(done >= last.get(stage, 0), f"Its progress goes back from {last.get(stage)} to {done} ({stage}).")
        last[stage] = done
