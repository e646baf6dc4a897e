"""Importing it starts no process."""

from __future__ import annotations

from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "import"


def check(subject: Subject) -> None:
    seen = subject.observation.processes
    require(not seen, f"It starts a process when it is imported: {'; '.join(seen[:3])}.")
