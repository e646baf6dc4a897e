"""What the host resolves needs no torch: detection, configuration, plans, token counts."""

from __future__ import annotations

from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "import"


def check(subject: Subject) -> None:
    heavy = subject.observation.heavy_references
    require(not heavy, "; ".join(f"{reference}: {why}" for reference, why in heavy.items()))
