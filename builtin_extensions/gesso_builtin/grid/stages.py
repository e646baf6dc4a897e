"""The grid is made when every picture is finished and told of: it can hold up or spoil none of them."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image

from gesso import InvalidInputError, Output, RunContext, encode_output
from gesso_builtin.grid.options import GridParams

MAX_PIXELS = 200_000_000
"""A1111's limit for a picture on the disk."""


def grid(ctx: RunContext) -> None:
    """One output of kind "grid", with the first picture's infotext; nothing for a single picture."""
    params = ctx.params("grid", GridParams)
    made = [artifact for artifact in ctx.artifacts if artifact.kind == "image"]
    if not params.enabled or len(made) < 2:
        return
    rows = rows_for(len(made), params)
    sizes = [(int(a.meta.get("width", 0)), int(a.meta.get("height", 0))) for a in made]
    width, height = grid_size(sizes, rows)
    if width * height > MAX_PIXELS:
        raise InvalidInputError(
            f"A grid of {len(made)} pictures would have {width:,} × {height:,} pixels, more than {MAX_PIXELS:,}: it is "
            "left out."
        )
    picture = arrange([Image.open(io.BytesIO(ctx.blobs.get(artifact.file))) for artifact in made], rows)
    text = str(made[0].meta.get("infotext", ""))
    data, mime = encode_output(ctx.host, ctx.job, picture, text, lambda why: ctx.emit("warning", message=why))
    output = Output(kind="grid", data=picture, index=ctx.first_index, seed=int(made[0].meta.get("seed", 0)))
    output.file = ctx.blobs.put(data, mime)
    output.meta = {
        "seed": output.seed, "infotext": text, "width": picture.width, "height": picture.height, "rows": rows,
        "pictures": len(made),
    }  # fmt: skip
    ctx.outputs.append(output)


def rows_for(count: int, params: GridParams) -> int:
    """A1111's rule: what was asked for, else the root, rounded; without gaps the largest below it that divides."""
    if params.rows:
        return min(params.rows, count)
    if params.no_gaps:
        return next(rows for rows in range(math.isqrt(count), 0, -1) if count % rows == 0)
    return min(round(math.sqrt(count)), count)


def grid_size(sizes: Sequence[tuple[int, int]], rows: int) -> tuple[int, int]:
    """(width, height) in pixels: every place is as large as the largest picture."""
    columns = math.ceil(len(sizes) / rows)
    return columns * max(width for width, _ in sizes), rows * max(height for _, height in sizes)


def arrange(pictures: Sequence[Image.Image], rows: int) -> Image.Image:
    """The pictures row by row on white, each in the middle of its place."""
    columns = math.ceil(len(pictures) / rows)
    width, height = max(p.width for p in pictures), max(p.height for p in pictures)
    made = Image.new("RGB", (columns * width, rows * height), "white")
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        left, top = column * width + (width - picture.width) // 2, row * height + (height - picture.height) // 2
        made.paste(picture, (left, top), picture if picture.mode == "RGBA" else None)
    return made
