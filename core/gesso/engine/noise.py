"""Where noise comes from: one stream per image, begun from that image's seed, so that a seed means one thing.

The CPU's generator is the source unless `gesso_choose_noise_source` names another.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gesso.engine.types import NoiseSource, NoiseStream

Tensor = torch.Tensor


def cpu_noise(seed: int) -> NoiseStream:
    """The stream of torch's CPU generator, which is A1111's with `RNG: CPU`."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return lambda shape: torch.randn(tuple(shape), generator=generator)


def initial_noise(
    seeds: Sequence[int],
    shape: Sequence[int],
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    source: NoiseSource = cpu_noise,
) -> tuple[Tensor, list[NoiseStream]]:
    """The noise (B, *shape) pictures start from, one image per seed, and the streams to go on with, as in A1111."""
    streams = [source(seed) for seed in seeds]
    return IndependentNoise(streams, shape, device=device, dtype=dtype)(0.0, 0.0), streams


class IndependentNoise:
    """A NoiseFn that draws anew at each call, every image from its own stream (see `initial_noise`)."""

    def __init__(
        self,
        streams: Sequence[NoiseStream],
        shape: Sequence[int],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._streams, self._shape = list(streams), tuple(shape)
        self._device, self._dtype = device, dtype

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        return torch.stack([draw(self._shape) for draw in self._streams]).to(self._device, self._dtype)


class BrownianNoise:
    """A NoiseFn that gives normalised increments of one Brownian path over σ per image: (W(σ') − W(σ))/√|σ' − σ|.

    The noise for a stretch of σ is then nearly the same however many steps it is cut into. `sigma_min` is the
    smallest σ > 0 of the schedule, `sigma_max` the largest.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        shape: Sequence[int],
        sigma_min: float,
        sigma_max: float,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        source: NoiseSource = cpu_noise,
    ) -> None:
        self._trees = [BrownianTree(seed, shape, sigma_min, sigma_max, source) for seed in seeds]
        self._device, self._dtype = device, dtype

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        increments = torch.stack([tree(sigma, sigma_next) for tree in self._trees])
        return (increments / math.sqrt(abs(sigma_next - sigma))).to(self._device, self._dtype)


@dataclass(slots=True)
class _Node:
    """A stretch [start, end] of the path, its increment, and its place in the tree."""

    start: float
    end: float
    increment: Tensor
    key: int = 0
    depth: int = 0


class BrownianTree:
    """A Brownian path on [start, end], found by halving: the seed alone decides it, not the order of the questions.

    The same path as torchsde's `BrownianTree(start, zeros, end, entropy=seed)` (Li et al. 2020, arXiv:2001.01328),
    which A1111 and ComfyUI use, so that their seeds give the same noise here. Times are rounded to six digits, where
    halving ends.
    """

    DIGITS = 6
    POOL = 24
    CACHED = 64
    """Nodes remembered: two ways from the root to a leaf, since a step begins where the last one ended."""

    def __init__(
        self, seed: int, shape: Sequence[int], start: float, end: float, source: NoiseSource = cpu_noise
    ) -> None:
        self._seed, self._shape, self._source = seed, tuple(shape), source
        increment = self._draw(()) * math.sqrt(end - start)
        self._root = _Node(round(start, self.DIGITS), round(end, self.DIGITS), increment)
        self._cache: OrderedDict[tuple[int, int], tuple[_Node, _Node]] = OrderedDict()

    def __call__(self, t0: float, t1: float) -> Tensor:
        """W(t1) − W(t0), float32; t0 > t1 is allowed, and times beyond the ends count as the ends."""
        low, high = (min(max(round(t, self.DIGITS), self._root.start), self._root.end) for t in sorted((t0, t1)))
        if low == high:
            return torch.zeros(self._shape)
        increment = self._between(self._root, low, high)
        return increment if t0 <= t1 else -increment

    def _between(self, node: _Node, low: float, high: float) -> Tensor:
        if (low, high) == (node.start, node.end):
            return node.increment
        left, right = self._halves(node)
        if high <= left.end:
            return self._between(left, low, high)
        if low >= left.end:
            return self._between(right, low, high)
        return self._between(left, low, left.end) + self._between(right, left.end, high)

    def _halves(self, node: _Node) -> tuple[_Node, _Node]:
        """The two halves of a node, bridged by noise that its place in the tree seeds."""
        place = (node.key, node.depth)
        if place in self._cache:
            self._cache.move_to_end(place)
            return self._cache[place]
        middle = round(0.5 * (node.start + node.end), self.DIGITS)
        length, before, after = node.end - node.start, middle - node.start, node.end - middle
        bridge = self._draw(place) * math.sqrt(before * after / length)
        increment = before * node.increment * (1 / length) + bridge
        left = _Node(node.start, middle, increment, 2 * node.key, node.depth + 1)
        right = _Node(middle, node.end, node.increment - increment, 2 * node.key + 1, node.depth + 1)
        self._cache[place] = left, right
        if len(self._cache) > self.CACHED:
            self._cache.popitem(last=False)
        return left, right

    def _draw(self, place: tuple[int, ...]) -> Tensor:
        """Standard normal noise that belongs to a place in the tree."""
        state = np.random.SeedSequence(self._seed, spawn_key=place, pool_size=self.POOL).generate_state(1)
        return self._source(int(state[0]))(self._shape).cpu()
