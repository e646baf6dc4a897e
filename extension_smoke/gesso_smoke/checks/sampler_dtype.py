"""A sampler keeps the number format of x, half precision included."""

from __future__ import annotations

import torch

from gesso import Sampler
from gesso.testing.toys import MODELS, Gaussian, even_steps, noise_for, run_sampler
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "samplers"
NEEDS: Needs = "code"


def check(subject: Subject, item: Sampler) -> None:
    model = MODELS["eps"]
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        sigmas = even_steps(model, 8)
        x = Gaussian(model).draw(float(sigmas[0]), 2).to(dtype)
        seen: set[torch.dtype] = set()
        problem = Gaussian(model)
        result = run_sampler(
            item,
            lambda x, sigma, problem=problem, seen=seen: (seen.add(x.dtype), problem(x, sigma))[1],
            x,
            sigmas,
            model=model,
            noise=noise_for(item, [1, 2], sigmas, dtype),
        )
        require(seen == {dtype}, f"With {dtype} it asks the model with {', '.join(map(str, seen))}.")
        require(result.dtype == dtype, f"With {dtype} it returns {result.dtype}.")
        require(torch.isfinite(result).all(), f"With {dtype} the result is not finite.")
