"""A linear layer the operator has built computes what the stored weight says."""

from __future__ import annotations

import torch

from gesso import Operator
from gesso.testing.toys import plain_weight
from gesso_smoke.rules import Needs, NotApplicable, require
from gesso_smoke.subject import Subject

OF = "operators"
NEEDS: Needs = "code"


PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn}
TOLERANCE = 0.02
"""Relative to the largest output, for weights that are quantised; plain ones are held to the dtype's rounding."""


def check(subject: Subject, item: Operator) -> None:
    tried = [name for name in item.formats if name in PLAIN or name in subject.weights]
    if not tried:
        raise NotApplicable(f"No sample of {', '.join(item.formats)}: give one in the contract's `weights`.")
    for name in tried:
        for dtype in (torch.float32, torch.bfloat16):
            _linear(subject, item, name, dtype)


def _linear(subject: Subject, item: Operator, name: str, dtype: torch.dtype) -> None:
    weight, values = subject.weights[name] if name in subject.weights else plain_weight((16, 32), PLAIN[name], name)
    rows, columns = values.shape
    with torch.device("meta"):
        layer = torch.nn.Linear(columns, rows, bias=False)
    built = item.build.load()(layer, "weight", weight, dtype=dtype, device=torch.device("cpu"))
    where = f"{name} computed in {dtype}"
    stored = [*built.named_parameters(), *built.named_buffers()]
    require(stored, f"{where}: the layer holds no weight.")
    left = [place for place, tensor in stored if tensor.is_meta]
    require(not left, f"{where}: {', '.join(left)} is still on the meta device.")
    require(not any(tensor.requires_grad for _, tensor in stored), f"{where}: a weight asks for gradients.")
    require(getattr(built, "in_features", None) == columns, f"{where}: the layer has lost in_features.")
    x = torch.linspace(-1, 1, 3 * columns).reshape(3, columns).to(dtype)
    with torch.inference_mode():
        made = built(x)
    require(made.dtype == dtype, f"{where}: it answers in {made.dtype}.")
    wanted = x.float() @ values.T.float()
    away = float((made.float() - wanted).abs().max() / wanted.abs().max())
    require(away < TOLERANCE, f"{where}: the output is {away:.1%} off.")
