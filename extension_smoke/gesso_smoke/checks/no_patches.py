"""Nothing others use has been replaced, after all its code was loaded and tried."""

from __future__ import annotations

from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "records"


def check(subject: Subject) -> None:
    if subject.watch is None:  # the runner's child has one from the beginning
        from gesso_smoke.run import in_child

        results = in_child(subject, ["lazy_resolves", "no_patches"])
        found = next((r for r in results if r.check == "no_patches" and r.outcome == "fail"), None)
        require(found is None, found.message if found else "")
        return
    changed = subject.watch.changed()
    require(not changed, f"It replaces {', '.join(changed[:5])} for everybody. Use hooks instead.")
