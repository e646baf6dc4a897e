"""Importing it writes no files."""

from __future__ import annotations

from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "import"


def check(subject: Subject) -> None:
    seen = subject.observation.files
    require(not seen, f"It writes to the disk when it is imported: {'; '.join(seen[:3])}.")
