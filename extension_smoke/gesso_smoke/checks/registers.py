"""It registers when it is alone."""

from __future__ import annotations

from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "import"


def check(subject: Subject) -> None:
    state = subject.alone.states[subject.id]
    require(state == "enabled", f"Alone it is {state}")
