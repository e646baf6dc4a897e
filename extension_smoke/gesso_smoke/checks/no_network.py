"""Importing it does not use the network."""

from __future__ import annotations

from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "import"


def check(subject: Subject) -> None:
    seen = subject.observation.network
    require(not seen, f"It uses the network when it is imported: {'; '.join(seen[:3])}.")
