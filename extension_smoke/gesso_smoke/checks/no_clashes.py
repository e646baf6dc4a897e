"""It registers beside all other installed plugins."""

from __future__ import annotations

from gesso_smoke.rules import Needs, NotApplicable, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "import"


def check(subject: Subject) -> None:
    if subject.alone.states[subject.id] != "enabled":
        raise NotApplicable("It does not register alone: see the check registers.")
    state = subject.together[0].states.get(subject.id, "not loaded")
    require(state == "enabled", f"With all others it is {state}")
