"""At scale 1 a guider gives the conditional estimate: its scale is in the standard form."""

from __future__ import annotations

import torch

from gesso import Guider
from gesso.testing.toys import ToyPredict, entry
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject
from gesso_smoke.values import default_options

OF = "guiders"
NEEDS: Needs = "code"


def check(subject: Subject, item: Guider) -> None:
    x = torch.linspace(-2, 2, 2 * 4 * 6 * 8).reshape(2, 4, 6, 8)
    positive, negative = [entry(2.0)], [entry(0.5, role="negative")]
    made = item.run.load()(
        ToyPredict(), x, 1.5, positive=positive, negative=negative, scale=1.0, options=default_options(item)
    )
    wanted = ToyPredict()(x, 1.5, positive)[0]
    away = float((made.x0 - wanted).abs().max())
    require(away < 1e-4, f"At scale 1 it is {away:.3g} off the conditional estimate uncond + (cond − uncond).")
