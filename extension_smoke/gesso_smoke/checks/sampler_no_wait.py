"""A sampler never waits for the device: it reads no value of a tensor.

Tensors on torch's meta device have no values, so whoever asks for one, as a wait for a GPU would, fails.
"""

from __future__ import annotations

import torch

from gesso import Prediction, Sampler
from gesso.testing.toys import MODELS, SHAPE, even_steps, run_sampler
from gesso_smoke.rules import Needs, NotApplicable, broken, require
from gesso_smoke.subject import Subject

OF = "samplers"
NEEDS: Needs = "code"


def check(subject: Subject, item: Sampler) -> None:
    if item.one_by_one:
        raise NotApplicable("An adaptive sampler must look at its error.")
    model = MODELS["eps"]
    start = torch.zeros(2, *SHAPE, device="meta")

    def denoise(x: torch.Tensor, sigma: float) -> Prediction:
        require(isinstance(sigma, float), f"It calls the model with a sigma that is {type(sigma).__name__}, not float.")
        return Prediction(x * 0.5, x * 0.6, x * 0.4)

    try:
        run_sampler(item, denoise, start, even_steps(model, 8), model=model)
    except (RuntimeError, NotImplementedError) as error:
        if "meta" not in str(error).lower():
            raise
        broken(f"It asks for the value of a tensor in every run, a wait for the GPU: {str(error)[:150]}")
