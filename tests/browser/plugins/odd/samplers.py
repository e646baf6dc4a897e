from __future__ import annotations

import ctypes
import time

from gesso import Step


def slow(denoise, x, sigmas, *, model, noise, on_step, options, pause=0.1):
    """Euler's method, a tenth of a second and more a step."""
    pairs = list(zip(sigmas.tolist(), sigmas.tolist()[1:], strict=False))
    for index, (sigma, following) in enumerate(pairs):
        x0 = denoise(x, sigma).x0
        x = x0 + (x - x0) * (following / sigma)
        time.sleep(pause)
        on_step(Step(index, len(pairs), sigma, following, x, x0))
    return x


def crash(denoise, x, sigmas, *, model, noise, on_step, options):
    return ctypes.string_at(8)
