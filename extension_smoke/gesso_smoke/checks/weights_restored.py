"""After a job the model's weights are what they were, to the bit.

For plugins that reach into the model (`gesso_wrap_model`, `gesso_wrap_denoise`, `gesso_on_step`). A picture may look
the same while a weight is not; with the next adapter it no longer would.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from gesso_smoke.rules import Needs, NotApplicable, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "records"

HOOKS = {"gesso_wrap_model", "gesso_wrap_denoise", "gesso_on_step"}


def check(subject: Subject) -> None:
    from gesso.testing.studio import Studio, demo_model

    if not HOOKS.intersection(subject.host.state(subject.id).hooks):
        raise NotApplicable("It does not reach into the model.")
    with TemporaryDirectory(prefix="gesso-demo-", ignore_cleanup_errors=True) as folder:
        if not demo_model(subject.host, Path(folder)):
            raise NotApplicable("The demo model's file is not there.")
        studio = Studio(subject.host, Path(folder))
        before = studio.weights(subject.host)
        studio.picture(subject.host)
        after = studio.weights(subject.host)
    changed = [name for name, digest in before.items() if after.get(name) != digest]
    require(not changed, f"After a job {len(changed)} weights differ, such as {changed[0] if changed else ''}.")
