"""A stage stands at a known anchor and closes no cycle with the others."""

from __future__ import annotations

from gesso import ANCHORS, Stage
from gesso.testing.hosts import stage_problems
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "stages"
NEEDS: Needs = "code"


def check(subject: Subject, item: Stage) -> None:
    require(item.anchor in ANCHORS, f"Its anchor {item.anchor!r} is none of {', '.join(ANCHORS)}.")
    problem = stage_problems(subject.host).get(item.name, "")
    require(not problem, f"It is left out of every job: it {problem}.")
