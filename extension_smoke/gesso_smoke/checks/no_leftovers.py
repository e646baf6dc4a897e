"""Importing it leaves the process as it was.

Environment variables, threads, signal handlers, sys.path, logging, warning filters.
"""

from __future__ import annotations

from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "import"


def check(subject: Subject) -> None:
    left = subject.observation.leftovers
    require(not left, f"After its import these differ: {', '.join(left)}.")
