"""Streams of random numbers: the device's own generator, and NVIDIA's reproduced on the CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from gesso import NoiseSource, NoiseStream

Words = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_TO_UNIT = np.float32(2.3283064e-10)  # 2^-32, and times 2π: single precision, as cuRAND has them
_TO_ANGLE = np.float32(2.3283064e-10 * 6.2831855)


def device_noise(device: torch.device) -> NoiseSource:
    """The generator of a CUDA device. Elsewhere `nv_noise`: the pictures people bring were made on such a device."""
    if device.type != "cuda":
        return nv_noise

    def source(seed: int) -> NoiseStream:
        generator = torch.Generator(device).manual_seed(seed)
        return lambda shape: torch.randn(tuple(shape), generator=generator, device=device)

    return source


def nv_noise(seed: int) -> NoiseStream:
    """What `torch.randn` draws on a CUDA device after `manual_seed(seed)`: Philox 4×32-10 and Box-Muller.

    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". Each number has a counter of its own (its index,
    and the number of draws before), which holds for tensors of up to some 100,000 numbers: beyond, a device makes
    several from one counter, and how many depends on its size.
    """
    draws = 0

    def draw(shape: Sequence[int]) -> torch.Tensor:
        nonlocal draws
        count = math.prod(shape)
        index = np.arange(count, dtype=np.uint64)
        counter = [np.full(count, draws, np.uint64), np.zeros(count, np.uint64), index & _LOW, index >> _32]
        draws += 1
        first, second, *_ = philox(counter, seed)
        return torch.from_numpy(normal(first, second)).reshape(tuple(shape))

    return draw


def philox(counter: Sequence[Words], key: int) -> list[Words]:
    """Four random 32-bit words for each counter (four arrays of 32-bit words in uint64), key of 64 bits; ten rounds."""
    a, b, c, d = counter
    low, high = key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF
    for _ in range(10):
        left, right = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (right >> _32) ^ b ^ np.uint64(low), right & _LOW, (left >> _32) ^ d ^ np.uint64(high), left & _LOW
        low, high = (low + _WEYL[0]) & 0xFFFFFFFF, (high + _WEYL[1]) & 0xFFFFFFFF
    return [a, b, c, d]


def normal(first: Words, second: Words) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """One standard normal number of two random words (Box & Muller 1958), as cuRAND maps them."""
    radius = np.sqrt(-2.0 * np.log(first * np.float64(_TO_UNIT) + np.float64(_TO_UNIT / 2)))
    angle = second * np.float64(_TO_ANGLE) + np.float64(_TO_ANGLE / 2)
    return (radius * np.sin(angle)).astype(np.float32)
