"""It registers the same whatever is loaded before it."""

from __future__ import annotations

from gesso_smoke.rules import Needs, NotApplicable, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "records"


def check(subject: Subject) -> None:
    usual, *others = subject.together
    if usual.states.get(subject.id) != "enabled":
        raise NotApplicable("It clashes: see the check no_clashes.")
    mine = subject.alone.of(subject.id)
    for other in (usual, *others):
        require(other.states[subject.id] == "enabled", f"In another order it is {other.states[subject.id]}")
        found = other.of(subject.id)
        changed = [f"{r}.{n}" for r in {**mine, **found} for n in _different(mine.get(r, {}), found.get(r, {}))]
        require(not changed, f"Depending on the order, or on being alone, these differ: {', '.join(sorted(changed))}.")


def _different(mine: dict[str, str], theirs: dict[str, str]) -> set[str]:
    return {name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)}
