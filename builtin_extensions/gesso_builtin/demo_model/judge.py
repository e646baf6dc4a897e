"""Does a picture show what a Shapes caption says? Decided from pixels alone, with numpy and Pillow.

The judge knows the world's palette and outlines but no model: it finds the background, cuts out what differs from it,
and names each piece's colour and shape. It is strict about clean pictures: blurred edges, noise and mixed colours count
as wrong, because a person would not call them right.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.float64]

PALETTE: dict[str, tuple[int, int, int]] = {
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
SHAPES = ("circle", "square", "triangle", "star", "ring", "heart")

_NAMES = tuple(PALETTE)
_VALUES = np.array(list(PALETTE.values()), dtype=np.float64)
# Half the distance of the two nearest palette colours (yellow, orange) is 35: nearer than this is "that colour".
_NEAR = 35.0
_FLAT = 22.0  # largest root-mean-square deviation inside something called flat
_GRID = 48  # masks are compared on this grid
_MATCH = 0.82  # least overlap (intersection over union) of a mask with its shape
_MIN_AREA = 0.003  # pieces smaller than this share of the picture are specks
_MAX_SPECKS = 0.012  # specks together may cover this much
_MAX_EDGE = 4.0  # widest edge, in pixels of a 128-pixel picture
_SIZE_BOUNDS = (0.20, 0.315)  # circumradius between small, medium and large

_COLOUR = f"(?:{'|'.join(PALETTE)})"
_SHAPE = f"(?:{'|'.join(SHAPES)})"
_SINGLE = re.compile(rf"a (?:(small|large) )?({_COLOUR}) ({_SHAPE}) on a ({_COLOUR}) background")
_PAIR = re.compile(rf"a ({_COLOUR}) ({_SHAPE}) (left of|above) a ({_COLOUR}) ({_SHAPE}) on a ({_COLOUR}) background")


@dataclass(frozen=True)
class Wanted:
    """What a caption asks for: (colour, shape) of each object in order; a size for one object, a relation for two."""

    background: str
    objects: tuple[tuple[str, str], ...]
    size: str | None = None
    relation: str | None = None


@dataclass(frozen=True)
class Found:
    """One piece of a picture. Centre and circumradius are fractions of the picture; None is "none that I know"."""

    colour: str | None
    shape: str | None
    x: float
    y: float
    radius: float
    match: float
    edge: float

    @property
    def size(self) -> str:
        """small, medium or large, by the circumradius."""
        return ("small", "medium", "large")[int(np.searchsorted(_SIZE_BOUNDS, self.radius))]


@dataclass(frozen=True)
class Description:
    """What the judge sees: the background's colour (None: not one flat colour) and objects, largest first."""

    background: str | None
    objects: tuple[Found, ...]
    specks: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """Which parts of a caption a picture fulfils. `relation` is None for one object, `size` for two."""

    background: bool
    colour: bool
    shape: bool
    count: bool
    relation: bool | None
    size: bool | None
    all: bool


def parse(caption: str) -> Wanted:
    """Read a caption of the Shapes world; ValueError for any other text."""
    if match := _SINGLE.fullmatch(caption):
        size, colour, shape, background = match.groups()
        return Wanted(background, ((colour, shape),), size or "medium")
    if match := _PAIR.fullmatch(caption):
        first, one, relation, second, two, background = match.groups()
        return Wanted(background, ((first, one), (second, two)), None, relation)
    raise ValueError(
        f"not a Shapes caption: {caption!r}; write 'a [small|large ]COLOUR SHAPE on a COLOUR background' or "
        "'a COLOUR SHAPE (left of|above) a COLOUR SHAPE on a COLOUR background'"
    )


def judge(image: Image.Image, caption: str) -> Verdict:
    """Compare `image` (any size, square) with what `caption` asks for."""
    wanted, seen = parse(caption), describe(image)
    count = len(seen.objects) == len(wanted.objects) and seen.specks <= _MAX_SPECKS
    main = seen.objects[: len(wanted.objects)]
    background = seen.background == wanted.background
    colour = Counter(o.colour for o in main) == Counter(c for c, _ in wanted.objects)
    shape = Counter(o.shape for o in main) == Counter(s for _, s in wanted.objects)
    relation = _related(main, wanted) if wanted.relation else None
    size = main[0].size == wanted.size if wanted.size and main else (False if wanted.size else None)
    everything = background and colour and shape and count and relation is not False and size is not False
    return Verdict(background, colour, shape, count, relation, size, everything)


def _related(objects: tuple[Found, ...], wanted: Wanted) -> bool:
    """Whether two objects lie apart along the caption's axis, and in its order rather than swapped."""
    if len(objects) != 2:
        return False
    along = (lambda o: o.x) if wanted.relation == "left of" else (lambda o: o.y)
    across = (lambda o: o.y) if wanted.relation == "left of" else (lambda o: o.x)
    first, second = sorted(objects, key=along)
    if along(second) - along(first) <= abs(across(second) - across(first)):
        return False
    one, two = wanted.objects
    straight = _agreement(first, one) + _agreement(second, two)
    swapped = _agreement(first, two) + _agreement(second, one)
    return straight > swapped or (straight == swapped and one == two)


def _agreement(found: Found, kind: tuple[str, str]) -> int:
    return (found.colour == kind[0]) + (found.shape == kind[1])


def describe(image: Image.Image) -> Description:
    """Background and objects of a picture, from its pixels alone."""
    pixels = np.asarray(image.convert("RGB"), dtype=np.float64)
    ground, name = _background(pixels)
    foreground = np.linalg.norm(pixels - ground, axis=2) > _NEAR
    labels, sizes = components(foreground)
    least = _MIN_AREA * foreground.size
    big = [i for i in np.argsort(-sizes) if sizes[i] >= least]
    specks = float(sizes.sum() - sizes[big].sum()) / foreground.size
    objects = tuple(_object(pixels, ground, labels == index + 1) for index in big[:8])
    return Description(name, objects, specks)


def _background(pixels: Floats) -> tuple[Floats, str | None]:
    """The frame's main colour, and its name when the frame is flat and near a palette colour."""
    depth = max(1, min(pixels.shape[:2]) // 40)
    inner = np.ones(pixels.shape[:2], dtype=bool)
    inner[depth:-depth, depth:-depth] = False
    frame = pixels[inner]
    nearest = _nearest(frame)
    common = int(np.bincount(nearest, minlength=len(_NAMES)).argmax())
    members = frame[nearest == common]
    ground = np.median(members, axis=0)
    return ground, _name(members) if len(members) >= 0.6 * len(frame) else None


def _nearest(colours: Floats) -> NDArray[np.int64]:
    """Index of the nearest palette colour for each row."""
    nearest: NDArray[np.int64] = np.linalg.norm(colours[:, None] - _VALUES, axis=2).argmin(axis=1)
    return nearest


def _name(colours: Floats) -> str | None:
    """The palette name of a flat patch; None when it is mixed, noisy or of another colour."""
    median = np.median(colours, axis=0)
    distance = np.linalg.norm(_VALUES - median, axis=1)
    spread = np.linalg.norm(colours - median, axis=1)
    flat = math.sqrt(float(np.mean(np.minimum(spread, 3 * _NEAR) ** 2))) <= _FLAT
    share = float(np.mean(spread <= _NEAR))
    return _NAMES[int(distance.argmin())] if flat and share >= 0.85 and distance.min() <= _NEAR else None


def components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Label 4-connected pieces 1, 2, ... (0 is outside) and count their pixels. Rows are cut into runs, then joined."""
    parents: list[int] = []
    runs: list[tuple[int, int, int]] = []

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    above: range = range(0)
    for y, row in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], row.astype(np.int8), [0]))))
        start = len(runs)
        for left, right in edges.reshape(-1, 2):
            index = len(runs)
            runs.append((y, int(left), int(right)))
            parents.append(index)
            for other in above:
                if runs[other][1] < right and left < runs[other][2]:
                    parents[root(other)] = root(index)
        above = range(start, len(runs))
    number: dict[int, int] = {}
    labels = np.zeros(mask.shape, dtype=np.int64)
    for index, (y, left, right) in enumerate(runs):
        labels[y, left:right] = number.setdefault(root(index), len(number) + 1)
    return labels, np.bincount(labels.ravel(), minlength=len(number) + 1)[1:]


def _core(mask: NDArray[np.bool_], depth: int) -> NDArray[np.bool_]:
    """The mask without its outermost `depth` pixels; as much as is left when that is everything."""
    for _ in range(depth):
        inside = np.pad(mask, 1)
        smaller = mask & inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
        if smaller.sum() < 12:
            break
        mask = smaller
    return mask


def _object(pixels: Floats, ground: Floats, piece: NDArray[np.bool_]) -> Found:
    """Name one connected piece."""
    height, width = piece.shape
    core = pixels[_core(piece, max(1, round(2 * width / 128)))]
    away = np.median(core, axis=0) - ground
    # How much of each pixel the object covers, reading edge pixels as mixtures of object and ground.
    coverage = np.clip((pixels - ground) @ away / max(1.0, float(away @ away)), 0, 1)
    near = np.pad(piece, 2)
    around = np.logical_or.reduce([near[y : y + height, x : x + width] for y in range(5) for x in range(5)])
    coverage = np.where(around, coverage, 0.0)
    solid = coverage > 0.5
    if not solid.any():
        solid = piece
    shape, match, radius, (x, y) = _shape(coverage)
    edge = _edge_width(coverage, solid) * 128 / width
    clean = match >= _MATCH and edge <= _MAX_EDGE
    return Found(_name(core), shape if clean else None, x / width, y / height, radius / width, match, edge)


def _edge_width(coverage: Floats, solid: NDArray[np.bool_]) -> float:
    """Pixels that are neither object nor ground, per pixel of outline."""
    outline = int(solid.sum() - _core(solid, 1).sum())
    return float(np.sum((coverage > 0.15) & (coverage < 0.85))) / max(1, outline)


def _standard(coverage: Floats) -> tuple[Floats, float, tuple[float, float]]:
    """Coverage on the grid with its centroid in the middle and unit area; its area in pixels; its centroid.

    Area and centroid hardly change when a corner is a little rounder, where a bounding box would.
    """
    area = max(1.0, float(coverage.sum()))
    rows, columns = np.indices(coverage.shape)
    x = float((coverage * (columns + 0.5)).sum()) / area
    y = float((coverage * (rows + 0.5)).sum()) / area
    reach = 1.1 * math.sqrt(area)
    pad = math.ceil(reach) + 1
    padded = Image.fromarray(np.pad((coverage * 255).astype(np.uint8), pad))
    box = (x + pad - reach, y + pad - reach, x + pad + reach, y + pad + reach)
    grid = padded.resize((_GRID, _GRID), Image.Resampling.BOX, box=box)
    return np.asarray(grid, dtype=np.float64) / 255, area, (x, y)


@cache
def _template(shape: str) -> tuple[Floats, float]:
    """`shape` as `_standard` gives it, and its area at circumradius 1."""
    radius = 6 * _GRID
    big = Image.new("L", (2 * radius + 1, 2 * radius + 1))
    pen = ImageDraw.Draw(big)
    pen.polygon([(radius + radius * x, radius + radius * y) for x, y in _outline(shape)], fill=255)
    if shape == "ring":
        hole = 0.55 * radius
        pen.ellipse((radius - hole, radius - hole, radius + hole, radius + hole), fill=0)
    grid, area, _ = _standard(np.asarray(big, dtype=np.float64) / 255)
    return grid, area / radius**2


def _outline(shape: str) -> list[tuple[float, float]]:
    """Corner points at circumradius 1, y downwards."""
    if shape in ("circle", "ring"):
        return [(math.cos(math.tau * i / 180), math.sin(math.tau * i / 180)) for i in range(180)]
    if shape == "square":
        return [(-0.84, -0.84), (0.84, -0.84), (0.84, 0.84), (-0.84, 0.84)]
    if shape == "triangle":
        return [(math.sin(math.tau * i / 3), -math.cos(math.tau * i / 3)) for i in range(3)]
    if shape == "star":
        spokes = [(math.pi * i / 5, 0.45 if i % 2 else 1.0) for i in range(10)]
        return [(r * math.sin(a), -r * math.cos(a)) for a, r in spokes]
    curve = []
    for i in range(180):
        a = math.tau * i / 180
        height = 13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)
        curve.append((math.sin(a) ** 3, -height / 15))
    return curve


def _shape(coverage: Floats) -> tuple[str, float, float, tuple[float, float]]:
    """The shape that overlaps best, the overlap (intersection over union), circumradius and centroid in pixels."""
    grid, area, centre = _standard(coverage)
    overlaps = {}
    for shape in SHAPES:
        template = _template(shape)[0]
        overlaps[shape] = float(np.minimum(grid, template).sum() / np.maximum(grid, template).sum())
    best = max(overlaps, key=lambda shape: overlaps[shape])
    return best, overlaps[best], math.sqrt(area / _template(best)[1]), centre
