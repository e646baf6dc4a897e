"""The plugin can be imported and its hooks are known."""

from __future__ import annotations

from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "nothing"


def check(subject: Subject) -> None:
    seen = subject.observation
    require(seen.state == "enabled", f"{seen.state} at {seen.phase or 'import'}: {seen.error}")
