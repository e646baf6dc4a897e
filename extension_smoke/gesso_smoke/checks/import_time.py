"""Importing and registering takes little time."""

from __future__ import annotations

from gesso.testing import observe
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "import"


CPU_MS = 250.0
WALL_MS = 3000.0
TRIES = 3


def check(subject: Subject) -> None:
    seen = subject.observation
    cpu, wall = seen.cpu_ms, seen.wall_ms
    for _ in range(TRIES - 1):  # once too slow may be the machine's fault
        if cpu <= CPU_MS and wall <= WALL_MS:
            return
        again = observe(subject.id, plugins_dir=subject.plugins_dir)
        cpu, wall = min(cpu, again.cpu_ms), min(wall, again.wall_ms)
    require(cpu <= CPU_MS, f"It takes {cpu:.0f} ms of processor time; {CPU_MS:.0f} ms are allowed.")
    require(wall <= WALL_MS, f"It takes {wall:.0f} ms, waiting included; {WALL_MS:.0f} ms are allowed.")
