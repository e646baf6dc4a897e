"""Measure obedience: draw the held-out captions with the shipped weights and let the pixel judge count.

Prints a table, and writes a contact sheet with --sheet. Runs on the CPU.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from gesso_builtin.demo_model.judge import Verdict, judge
from tools.shapes import world
from tools.shapes.engine import gesso_generator
from tools.shapes.generate import Generator, diffusers_generator
from tools.shapes.layouts import LAYOUTS
from tools.shapes.train import TARGET

BATCH = 20
Result = tuple[str, int, Image.Image, Verdict]


def choose_generator(args: argparse.Namespace) -> Generator:
    """gesso itself, diffusers' loop, or `module:factory` called with (weights, layout, steps, guidance)."""
    if args.generator == "gesso":
        given = {"steps": args.steps, "cfg_scale": args.guidance}
        return gesso_generator(args.weights, **{name: value for name, value in given.items() if value is not None})
    layout, steps, guidance = LAYOUTS[args.layout](), args.steps or 20, args.guidance or 4.0
    if args.generator == "diffusers":
        return diffusers_generator(args.weights, layout, steps, guidance)
    module, factory = args.generator.split(":")
    made: Generator = getattr(import_module(module), factory)(args.weights, layout, steps, guidance)
    return made


def measure(generate: Generator, captions: Sequence[str], seeds: int, first_seed: int = 1000) -> list[Result]:
    """Draw every caption with `seeds` seeds and judge each picture."""
    jobs = [(c, first_seed + s) for s in range(seeds) for c in captions]
    results: list[Result] = []
    for start in range(0, len(jobs), BATCH):
        part = jobs[start : start + BATCH]
        pictures = generate([c for c, _ in part], [s for _, s in part])
        results += [(c, s, p, judge(p, c)) for (c, s), p in zip(part, pictures, strict=True)]
    return results


def table(results: list[Result]) -> str:
    """Percentages by kind of caption as a Markdown table; "-" where a part does not apply."""
    names = [f.name for f in fields(Verdict)]
    lines = ["| captions | pictures | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for kind in ("single", "pair"):
        mine = [v for c, _, _, v in results if (" left of " in c or " above " in c) == (kind == "pair")]
        if not mine:
            continue
        cells = []
        for name in names:
            values = [getattr(v, name) for v in mine if getattr(v, name) is not None]
            cells.append(f"{100 * sum(values) / len(values):.1f}" if values else "-")
        lines.append(f"| {kind} | {len(mine)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def contact_sheet(results: list[Result], columns: int = 8) -> Image.Image:
    """Pictures with their captions underneath; a red line marks those the judge rejects."""
    side, gap = results[0][2].width, 38
    rows = -(-len(results) // columns)
    sheet = Image.new("RGB", (columns * (side + 12), rows * (side + gap)), (250, 250, 250))
    pen = ImageDraw.Draw(sheet)
    for index, (caption, _, picture, verdict) in enumerate(results):
        x, y = index % columns * (side + 12) + 6, index // columns * (side + gap) + 4
        sheet.paste(picture, (x, y))
        words = caption.replace(" background", "").split(" on a ")
        lines = [*words[0].replace(" left of", "\nleft of").replace(" above", "\nabove").split("\n")]
        lines[-1] += f" / {words[1]}"
        pen.multiline_text((x, y + side + 1), "\n".join(lines), fill=(40, 40, 40), font_size=9, spacing=1)
        if not verdict.all:
            pen.line((x, y + side, x + side - 1, y + side), fill=(220, 0, 0), width=3)
    return sheet


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.shapes.score", description=__doc__)
    parser.add_argument("--weights", type=Path, default=TARGET)
    parser.add_argument("--layout", choices=sorted(LAYOUTS), default="sd1")
    parser.add_argument("--captions", type=int, default=200, help="how many of the 200, half of them pairs")
    parser.add_argument("--kind", choices=("both", "single", "pair"), default="both", help="one half of the captions")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="what the model starts from unless given")
    parser.add_argument("--guidance", type=float, help="CFG; what the model starts from unless given")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; on busy cores one is quickest")
    parser.add_argument("--generator", default="gesso", help="gesso, diffusers, or module:factory")
    parser.add_argument("--sheet", type=Path, help="contact sheet, e.g. docs/images/demo_model.png")
    parser.add_argument("--wrong", type=Path, help="contact sheet of the pictures the judge rejects")
    return parser.parse_args()


def main() -> None:
    """Score the weights and print the table."""
    args = _options()
    torch.set_num_threads(args.threads)
    scenes, half = world.held_out(), args.captions // 2
    pairs = scenes[world.HELD_OUT_PER_KIND :]
    chosen = (*(scenes[:half] if args.kind != "pair" else ()), *(pairs[:half] if args.kind != "single" else ()))
    captions = [s.caption for s in chosen]
    began = time.monotonic()
    results = measure(choose_generator(args), captions, args.seeds)
    print(table(results))
    print(f"\n{len(results)} pictures, {time.monotonic() - began:.0f} s")
    if args.sheet:
        shown = min(half, 32)
        second = results[half : half + shown] if args.kind == "both" else []
        contact_sheet([*results[:shown], *second]).save(args.sheet, optimize=True)
    wrong = [r for r in results if not r[3].all]
    if args.wrong and wrong:
        contact_sheet(wrong[:96]).save(args.wrong)


if __name__ == "__main__":
    main()
