"""The Shapes world: flat coloured shapes on flat backgrounds, and the captions that describe them.

Everything here is a pure function of a seed, so a data set is named by one integer and never stored as pictures.
"""

import hashlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

RGB = tuple[int, int, int]

PALETTE: dict[str, RGB] = {
    "red": (220, 40, 40),
    "green": (40, 170, 70),
    "blue": (50, 80, 220),
    "yellow": (240, 210, 50),
    "purple": (150, 60, 190),
    "orange": (245, 140, 40),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
    "pink": (245, 130, 180),
    "cyan": (60, 200, 220),
}
COLOURS = tuple(PALETTE)
SHAPES = ("circle", "square", "triangle", "star", "ring", "heart")
SIZES = ("small", "medium", "large")
RELATIONS = ("left of", "above")
# Circumradius as a fraction of the picture's side; a caption names a size only when it is not medium.
RADII = {"small": (0.13, 0.17), "medium": (0.23, 0.28), "large": (0.35, 0.40)}
PAIR_RADIUS = (0.165, 0.20)
HELD_OUT_PER_KIND = 100
_SUPERSAMPLE = 4


@dataclass(frozen=True)
class Thing:
    """What a caption says about one shape. `size` is None in two-shape captions, where it is left open."""

    colour: str
    shape: str
    size: str | None = "medium"

    def __str__(self) -> str:
        size = "" if self.size in (None, "medium") else f"{self.size} "
        return f"a {size}{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """One caption's meaning: one thing, or two things and how the first lies to the second."""

    background: str
    things: tuple[Thing, ...]
    relation: str | None = None

    @property
    def caption(self) -> str:
        subject = f" {self.relation} ".join(str(thing) for thing in self.things)
        return f"{subject} on a {self.background} background"


@dataclass(frozen=True)
class Placed:
    """A thing with its place: centre and circumradius as fractions of the picture's side."""

    colour: str
    shape: str
    x: float
    y: float
    radius: float


@cache
def outline(shape: str) -> tuple[tuple[float, float], ...]:
    """Corner points of `shape` around the origin, circumradius about 1, y downwards. Circles and rings have none."""
    if shape == "square":
        return tuple((0.84 * x, 0.84 * y) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)))
    if shape == "triangle":
        return tuple((math.sin(a), 0.2 - math.cos(a)) for a in (0.0, 2 * math.pi / 3, 4 * math.pi / 3))
    if shape == "star":
        points = ((1.0 if i % 2 == 0 else 0.45, math.pi * i / 5) for i in range(10))
        return tuple((r * math.sin(a), -r * math.cos(a)) for r, a in points)
    if shape == "heart":
        angles = (2 * math.pi * i / 96 for i in range(96))
        return tuple((math.sin(a) ** 3, -_heart_height(a) / 15 - 0.08) for a in angles)
    raise ValueError(f"{shape!r} has no outline; shapes with one: square, triangle, star, heart")


def _heart_height(angle: float) -> float:
    return 13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle) - math.cos(4 * angle)


def place(scene: Scene, rng: np.random.Generator) -> list[Placed]:
    """Choose centres and radii that make `scene` true with room to spare; shapes never touch or leave the picture."""
    if len(scene.things) == 1:
        thing = scene.things[0]
        radius = float(rng.uniform(*RADII[thing.size or "medium"]))
        room = min(0.5 - radius - 0.04, 0.10)
        x, y = rng.uniform(0.5 - room, 0.5 + room, size=2)
        return [Placed(thing.colour, thing.shape, float(x), float(y), radius)]
    placed = []
    for thing, along in zip(scene.things, (0.26, 0.74), strict=True):
        radius = float(rng.uniform(*PAIR_RADIUS))
        a, b = along + rng.uniform(-0.03, 0.03), 0.5 + rng.uniform(-0.08, 0.08)
        x, y = (a, b) if scene.relation == "left of" else (b, a)
        placed.append(Placed(thing.colour, thing.shape, float(x), float(y), radius))
    return placed


def draw(background: str, shapes: list[Placed], width: int = 128, height: int | None = None) -> Image.Image:
    """Draw shapes on a flat background with edges anti-aliased by supersampling; an RGB image width by height."""
    height = height or width
    big = Image.new("RGB", (width * _SUPERSAMPLE, height * _SUPERSAMPLE), PALETTE[background])
    pen = ImageDraw.Draw(big)
    side = min(big.size)
    for item in shapes:
        x, y, r = item.x * big.width, item.y * big.height, item.radius * side
        fill = PALETTE[item.colour]
        if item.shape in ("circle", "ring"):
            pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
            if item.shape == "ring":
                inner = 0.55 * r
                pen.ellipse((x - inner, y - inner, x + inner, y + inner), fill=PALETTE[background])
        else:
            pen.polygon([(x + r * u, y + r * v) for u, v in outline(item.shape)], fill=fill)
    return big.reduce(_SUPERSAMPLE)


def render(scene: Scene, seed: int, size: int = 128) -> Image.Image:
    """Draw `scene` with places chosen by `seed`; the same arguments give the same pixels."""
    return draw(scene.background, place(scene, np.random.default_rng(seed)), size)


def single_scenes() -> Iterator[Scene]:
    """Every scene with one shape."""
    for background, colour, shape, size in itertools.product(COLOURS, COLOURS, SHAPES, SIZES):
        if colour != background:
            yield Scene(background, (Thing(colour, shape, size),))


def pair_scenes() -> Iterator[Scene]:
    """Every scene with two shapes."""
    kinds = list(itertools.product(COLOURS, SHAPES))
    for background, relation, first, second in itertools.product(COLOURS, RELATIONS, kinds, kinds):
        if background not in (first[0], second[0]):
            yield Scene(background, (Thing(*first, None), Thing(*second, None)), relation)


@cache
def held_out() -> tuple[Scene, ...]:
    """The scenes no training picture shows: 100 single ones, then 100 pairs, those whose captions hash lowest."""
    chosen: list[Scene] = []
    for scenes in (single_scenes(), pair_scenes()):
        ranked = sorted(scenes, key=lambda s: hashlib.sha256(s.caption.encode()).digest())
        chosen += ranked[:HELD_OUT_PER_KIND]
    return tuple(chosen)


def random_scene(rng: np.random.Generator, pair_share: float) -> Scene:
    """Draw one scene that is not held out; `pair_share` is the chance of two shapes."""
    while True:
        background = COLOURS[rng.integers(len(COLOURS))]
        others = [c for c in COLOURS if c != background]
        pair = rng.random() < pair_share
        colours = [others[i] for i in rng.integers(len(others), size=2)]
        shapes = [SHAPES[i] for i in rng.integers(len(SHAPES), size=2)]
        if pair:
            first, second = (Thing(c, s, None) for c, s in zip(colours, shapes, strict=True))
            scene = Scene(background, (first, second), RELATIONS[rng.integers(2)])
        else:
            scene = Scene(background, (Thing(colours[0], shapes[0], SIZES[rng.integers(3)]),))
        if scene not in _held_out_set():
            return scene


@cache
def _held_out_set() -> frozenset[Scene]:
    return frozenset(held_out())


def training_caption(scene: Scene, rng: np.random.Generator, partial_share: float = 0.06) -> str:
    """The scene's caption, or (with chance `partial_share`) a true caption that leaves something open."""
    if rng.random() >= partial_share:
        return scene.caption
    thing = scene.things[int(rng.integers(len(scene.things)))]
    subject = scene.caption.split(" on a ")[0]
    choices = [subject, f"a {scene.background} background", f"{thing.colour} {thing.shape}", f"a {thing.shape}"]
    return choices[int(rng.integers(len(choices)))]
