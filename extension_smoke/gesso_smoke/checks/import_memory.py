"""Importing and registering takes little memory."""

from __future__ import annotations

from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "import"


MB = 32.0


def check(subject: Subject) -> None:
    grown = subject.observation.mb
    require(grown <= MB, f"It takes {grown:.0f} MB; {MB:.0f} MB are allowed. Read tables when they are used.")
