"""A schedule starts where the model's noise does."""

from __future__ import annotations

from gesso import Scheduler
from gesso.testing.toys import MODELS
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject
from gesso_smoke.values import made_schedule

OF = "schedulers"
NEEDS: Needs = "code"


LOW, HIGH = 0.3, 1.5


def check(subject: Subject, item: Scheduler) -> None:
    for kind, model in MODELS.items():
        first = float(made_schedule(item, 20, model).flatten()[0])
        top = model.sigma_max
        require(model.alpha(first) >= 0, f"on a {kind} model it starts at {first:g}; that model's noise ends at 1.")
        # The zero-SNR model's last sigma is a stand-in for infinity, so only the others say how high is too high.
        require(
            first >= LOW * min(top, 14.6) and (kind == "v" or first <= HIGH * top),
            f"on a {kind} model it starts at {first:g}; the model's noise goes up to {top:g}.",
        )
