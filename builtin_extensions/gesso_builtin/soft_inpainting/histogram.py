"""A filter between mean, median and maximum: the weighted mean of a range of the neighbours' ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def gaussian_kernel(deviation: float, radius: int) -> Floats:
    """(2r+1, 2r+1): exp(−d²/deviation²), lowered so that it is 0 one beyond the radius, 1 in the middle."""
    end = np.exp(-((radius + 1) ** 2) / deviation**2)
    steps = np.arange(-radius, radius + 1)
    squares = steps[:, None] ** 2 + steps[None, :] ** 2
    kernel: Floats = ((np.exp(-squares / deviation**2) - end) / (1 - end)).clip(0)
    return kernel


def weighted_range(values: Floats, kernel: Floats, low: float, high: float, least: float = 1.0) -> Floats:
    """At each place: sort the neighbours (H,W) under the kernel, stack their weights, and average what lies between the
    shares `low` and `high` of the stack, at least `least` high. Neighbours outside do not count."""
    radius = kernel.shape[0] // 2
    around = np.pad(values, radius, constant_values=np.inf)
    there = np.pad(np.ones_like(values), radius)
    windows = np.lib.stride_tricks.sliding_window_view(around, kernel.shape).reshape(*values.shape, -1)
    weights = np.lib.stride_tricks.sliding_window_view(there, kernel.shape).reshape(*values.shape, -1) * kernel.ravel()
    order = windows.argsort(axis=-1, kind="stable")
    windows = np.take_along_axis(windows, order, -1)
    weights = np.take_along_axis(weights, order, -1)
    ends = weights.cumsum(-1)
    total = ends[..., -1:]
    bottom, top = total * low, total * high
    short = top - bottom < least
    middle = (top + bottom) / 2
    bottom, top = np.where(short, middle - least / 2, bottom), np.where(short, middle + least / 2, top)
    over = short & (top > total)
    bottom, top = np.where(over, total - least, bottom), np.where(over, total, top)
    under = short & (bottom < 0)
    bottom, top = np.where(under, 0.0, bottom), np.where(under, least, top)
    share = (np.minimum(ends, top) - np.maximum(ends - weights, bottom)).clip(0)
    present = np.where(np.isfinite(windows), windows, 0.0)
    mean: Floats = (present * share).sum(-1) / np.maximum(share.sum(-1), 1e-12)
    return mean
