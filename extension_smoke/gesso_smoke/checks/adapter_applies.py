"""An adapter changes the weights it names, the same each time, and leaves every weight as it was, to the bit."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from gesso import Adapter
from gesso_smoke.rules import Needs, NotApplicable, require
from gesso_smoke.subject import Subject

OF = "adapters"
NEEDS: Needs = "code"


def check(subject: Subject, item: Adapter) -> None:
    from gesso.testing.adapters import AdapterTrial
    from gesso.testing.studio import Studio, demo_model

    with TemporaryDirectory(prefix="gesso-adapter-", ignore_cleanup_errors=True) as folder:
        if not demo_model(subject.host, Path(folder)):
            raise NotApplicable("The demo model's file is not there.")
        with Studio(subject.host, Path(folder)).loaded(subject.host) as model:
            trial = AdapterTrial(model, item, Path(folder, "example.safetensors"))
            require(trial.recognised, "It does not recognise its own example.")
            before = trial.digests()
            with trial.applied(0.0):
                require(trial.digests() == before, "At strength 0 it changes weights.")
            with trial.applied(1.0) as missed:
                require(not missed, f"Its example has names the model does not know, such as {missed[:1]}.")
                first = trial.digests()
                changed = {name for name in before if before[name] != first[name]}
                wanted = set(trial.shapes)
                require(changed >= wanted, f"It leaves {sorted(wanted - changed)[:2]} as it was.")
                require(changed <= wanted, f"It changes {sorted(changed - wanted)[:2]}, which its file does not name.")
                require(trial.finite(), "The changed weights are not finite.")
            with trial.applied(1.0):
                require(trial.digests() == first, "The second time it makes other weights of the same file.")
            left = [name for name, digest in trial.digests().items() if digest != before[name]]
            require(not left, f"Afterwards {len(left)} weights differ, such as {left[:1]}.")
