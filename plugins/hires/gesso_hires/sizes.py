"""A1111's rules for the size of the second pass. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from gesso import InvalidInputError

from .params import HiresParams


@dataclass(frozen=True)
class Sizes:
    """(width, height) the first pass's picture is enlarged to, and what is kept of that, from its middle."""

    enlarged: tuple[int, int]
    final: tuple[int, int]


def sizes(first: tuple[int, int], asked: HiresParams, step: int) -> Sizes:
    """By the factor; or to a width or a height, the other side in proportion; or to both, cutting what sticks out.

    All rounded down to multiples of `step`, as latents are. InvalidInputError: more than 16,384 pixels a side.
    """
    width, height = first
    if not asked.width and not asked.height:
        enlarged = final = int(width * asked.scale), int(height * asked.scale)
    else:
        by_width = asked.width, asked.width * height // width
        by_height = asked.height * width // height, asked.height
        if asked.width and asked.height:
            enlarged = by_width if width * asked.height < asked.width * height else by_height
            final = asked.width, asked.height
        else:
            enlarged = final = by_width if asked.width else by_height
    if max(enlarged) > 16384:
        raise InvalidInputError(f"The second pass would be {enlarged[0]} × {enlarged[1]}; 16,384 is the most a side.")
    return Sizes(_stepped(enlarged, step), _stepped(final, step))


def _stepped(size: tuple[int, int], step: int) -> tuple[int, int]:
    width, height = (max(step, side // step * step) for side in size)
    return width, height
