"""`<lora:name:te:unet>` in prompts: A1111's grammar, and strengths that change over the steps. Torch-free."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gesso import InvalidInputError

TAG = re.compile(r"<(?:lora|lyco):([^>]*)>")
MOST = 1000.0
"""Strengths beyond are mistakes; everything is infinite long before."""


@dataclass(frozen=True)
class Strength:
    """A number, or points (place, number) between which it runs straight. Places up to 1 are shares of the steps."""

    points: tuple[tuple[float, float], ...]

    @classmethod
    def read(cls, text: str) -> Strength:
        """ "0.8", or "0@0, 1@0.5": 0 at the start, 1 from half of the steps on. ValueError: neither."""
        points = []
        for part in text.split(","):
            value, at, place = part.partition("@")
            point = (float(place) if at else 0.0, float(value))
            if not all(math.isfinite(number) for number in point) or abs(point[1]) > MOST or point[0] < 0:
                raise ValueError(part)
            points.append(point)
        if len(points) > 1 and "@" not in text:
            raise ValueError(text)
        return cls(tuple(sorted(points)))

    @property
    def is_constant(self) -> bool:
        return len({value for _, value in self.points}) == 1

    @property
    def highest(self) -> float:
        """The strongest it gets, either way."""
        return max((value for _, value in self.points), key=abs)

    def at(self, step: int, total: int) -> float:
        """Its value in step `step` (from 0) of `total`."""
        now = step / max(1, total)
        before = after = None
        for place, value in self.points:
            share = place if place <= 1 else place / max(1, total)
            if share <= now:
                before = (share, value)
            elif after is None:
                after = (share, value)
        if before is None or after is None:
            return (before or after or (0.0, 0.0))[1]
        return before[1] + (after[1] - before[1]) * (now - before[0]) / (after[0] - before[0])


@dataclass(frozen=True)
class Tag:
    """One file of a prompt. `rank` cuts it down to so many dimensions, None: all."""

    name: str
    text: Strength
    denoiser: Strength
    rank: int | None = None


def split(prompt: str) -> tuple[str, list[Tag]]:
    """(the prompt without its tags, the tags in order). InvalidInputError: a tag whose numbers are none."""
    return TAG.sub("", prompt), [_tag(match[0], match[1]) for match in TAG.finditer(prompt)]


def _tag(whole: str, inner: str) -> Tag:
    parts = inner.split(":")
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    plain = [part for part in parts if "=" not in part]
    if not plain or not plain[0].strip():
        raise InvalidInputError(f"{whole} names no file.", hint="Write <lora:name:0.8>.")
    try:
        text = named.get("te", _nth(plain, 1, "1"))
        denoiser = named.get("unet", _nth(plain, 2, text))
        rank = named.get("dyn", _nth(plain, 3, ""))
        return Tag(plain[0].strip(), Strength.read(text), Strength.read(denoiser), int(rank) if rank else None)
    except ValueError:
        raise InvalidInputError(
            f"{whole[:200]} has a strength that is no number.",
            hint="Write <lora:name:0.8>, <lora:name:te=0:unet=1>, or <lora:name:0@0,1@0.5> to let it grow.",
        ) from None


def _nth(parts: Sequence[str], n: int, default: str) -> str:
    return parts[n] if len(parts) > n else default
