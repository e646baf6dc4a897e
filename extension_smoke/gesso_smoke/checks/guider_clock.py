"""A guider asks the model at the sigma it is given, and no oftener than it must."""

from __future__ import annotations

import torch

from gesso import Guider
from gesso.testing.toys import ToyPredict, entry
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject
from gesso_smoke.values import default_options

OF = "guiders"
NEEDS: Needs = "code"


MOST_CALLS = 4


def check(subject: Subject, item: Guider) -> None:
    predict = ToyPredict()
    x = torch.linspace(-2, 2, 192).reshape(1, 4, 6, 8)
    item.run.load()(
        predict, x, 0.8, positive=[entry(2.0)], negative=[entry(0.5, role="negative")], scale=7.5,
        options=default_options(item),
    )  # fmt: skip
    wrong = [sigma for sigma, _ in predict.calls if sigma != 0.8]
    require(not wrong, f"Asked at σ = 0.8, it asks the model at {wrong[:3]}.")
    require(predict.calls, "It never asks the model.")
    require(len(predict.calls) <= MOST_CALLS, f"It asks the model {len(predict.calls)} times in one step.")
