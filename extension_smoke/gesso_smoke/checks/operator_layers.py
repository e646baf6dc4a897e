"""An operator also serves convolutions, embeddings, norms and integer buffers."""

from __future__ import annotations

import torch

from gesso import Operator
from gesso.testing.toys import plain_weight
from gesso_smoke.rules import Needs, NotApplicable, require
from gesso_smoke.subject import Subject

OF = "operators"
NEEDS: Needs = "code"


def check(subject: Subject, item: Operator) -> None:
    if "F16" not in item.formats:
        raise NotApplicable("It does not read plain half-precision weights.")
    with torch.device("meta"):
        layers = {
            "Conv2d": (torch.nn.Conv2d(3, 5, 3), "weight"), "Embedding": (torch.nn.Embedding(7, 4), "weight"),
            "GroupNorm": (torch.nn.GroupNorm(2, 4), "bias"), "Linear's bias": (torch.nn.Linear(4, 6), "bias"),
        }  # fmt: skip
    for said, (layer, name) in layers.items():
        shape = tuple(getattr(layer, name).shape)
        weight, values = plain_weight(shape, torch.float16, "F16")
        built = item.build.load()(layer, name, weight, dtype=torch.float32, device=torch.device("cpu"))
        made = getattr(built, name)
        require(not made.is_meta, f"{said}: its {name} is still on the meta device.")
        require(made.dtype == torch.float32, f"{said}: its {name} is {made.dtype}, not the dtype asked for.")
        require(torch.equal(made.float(), values), f"{said}: its {name} has other values than the file.")
