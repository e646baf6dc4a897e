"""A guider keeps shape, number format and batch, with several prompts and at any scale."""

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
    prompts = {"one prompt": [entry(2.0)], "two weighted prompts": [entry(2.0, weight=1.2), entry(-1.0, weight=0.5)]}
    for said, positive in prompts.items():
        for dtype in (torch.float32, torch.bfloat16):
            for batch, scale in ((1, 7.5), (3, 0.0)):
                x = torch.linspace(-2, 2, batch * 192).reshape(batch, 4, 6, 8).to(dtype)
                before = x.clone()
                made = item.run.load()(
                    ToyPredict(), x, 0.8, positive=positive, negative=[entry(0.5, role="negative")], scale=scale,
                    options=default_options(item),
                )  # fmt: skip
                where = f"{said}, {dtype}, batch {batch}, scale {scale:g}"
                require(made.x0.shape == x.shape, f"{where}: x0 has the shape {tuple(made.x0.shape)}.")
                require(made.x0.dtype == dtype, f"{where}: x0 is {made.x0.dtype}.")
                require(torch.isfinite(made.x0).all(), f"{where}: x0 is not finite.")
                require(torch.equal(x, before), f"{where}: it writes into x.")
