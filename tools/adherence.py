"""Every sampler with every scheduler on the demo model: are the pictures finite, and do they obey?

    python tools/adherence.py [--check] [--samplers euler,heun]

Four pictures of one caption for each pair, judged by pixels. Writes docs/samplers_adherence.md when all pairs were run,
and ends with an error when a pair failed or its latents were not finite. Takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from gesso.errors import GessoError
from gesso.paths import Paths
from gesso.service import Service
from gesso.testing import local_plugins
from gesso.types import JobEvent
from gesso_builtin.demo_model.judge import judge

PAGE = Path(__file__).resolve().parents[1] / "docs" / "samplers_adherence.md"
CAPTION = "a green star on a yellow background"
PICTURES = 4
BROKEN = ("failed", "not finite")
WATCHER = """
from gesso import hookimpl

api = "1"


@hookimpl
def gesso_on_step(ctx, step):
    ctx.metric("latents.sum", float(step.x.double().abs().sum()), "1")
"""
HEAD = """# Samplers on the demo model

Each pair of sampler and scheduler drew "{caption}" {pictures} times in {steps} steps at CFG {cfg:g}, on the CPU;
the number says how many of them a judge that looks at pixels alone calls right (background, count, colour and shape).
The latents of every pair stayed finite at every step; of one that did not the table would say *not finite*.
Twelve steps are few for DPM fast, PLMS and IPNDM. Beta puts its last steps far apart, which multistep solvers do not
bear; Linear Quadratic was made for another kind of model; CFG++ wants a lower guidance scale than this.

Re-made by `python tools/adherence.py`, tried by `tox -e adherence`.

"""


@contextmanager
def watched_service() -> Iterator[Service]:
    """A service with a data folder of its own and a plugin that tells of every step's latents."""
    with tempfile.TemporaryDirectory() as home, local_plugins({"adherence_watcher": WATCHER}) as host:
        service = Service(host, Paths.of(home))
        yield service
        service.close()


def draw(service: Service, sampler: str, scheduler: str, **fields: Any) -> tuple[list[Image.Image], bool]:
    """(the pictures of a pair, whether every step's latents were finite); `fields` are those of a request."""
    asked = {"prompt": CAPTION, "model": "shapes", "seed": 1, "sampler": sampler, "scheduler": scheduler, **fields}
    sums: list[float] = []

    def on_event(event: JobEvent) -> None:
        if event.data.get("name") == "latents.sum":
            sums.append(event.data["value"])

    artifacts = service.run(service.job(service.request(asked)), on_event).artifacts
    pictures = [Image.open(io.BytesIO(service.executor.blobs.get(a.file))).convert("RGB") for a in artifacts]
    return pictures, bool(sums) and all(map(math.isfinite, sums))


def cell(service: Service, sampler: str, scheduler: str, steps: int, cfg: float) -> str:
    """How many pictures of a pair are right; or what went wrong."""
    try:
        pictures, finite = draw(service, sampler, scheduler, steps=steps, cfg_scale=cfg, batch_size=PICTURES)
    except GessoError as error:
        print(f"{sampler} × {scheduler}: {error}", file=sys.stderr)
        return "failed"
    return str(sum(judge(picture, CAPTION).all for picture in pictures)) if finite else "not finite"


def table(service: Service, samplers: Sequence[str], steps: int, cfg: float) -> str:
    """A row for each of `samplers`, a column for each scheduler."""
    schedulers = list(service.host.registry("schedulers"))
    lines = ["| | " + " | ".join(s.label for s in schedulers) + " |", "|---|" + "---|" * len(schedulers)]
    started = time.monotonic()
    for number, name in enumerate(samplers, 1):
        cells = [cell(service, name, s.name, steps, cfg) for s in schedulers]
        lines.append(f"| {service.host.registry('samplers').get(name).label} | " + " | ".join(cells) + " |")
        left = (time.monotonic() - started) / number * (len(samplers) - number) / 60
        print(f"{number}/{len(samplers)} {name}: {' '.join(cells)} ({left:.1f} min left)", file=sys.stderr, flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--cfg", type=float, default=4)
    parser.add_argument("--check", action="store_true", help="print the table instead of writing it")
    parser.add_argument("--samplers", default="", help="only these (comma-separated); prints the table")
    args = parser.parse_args()
    with watched_service() as service:
        chosen = args.samplers.split(",") if args.samplers else [s.name for s in service.host.registry("samplers")]
        made = table(service, chosen, args.steps, args.cfg)
    if args.samplers or args.check:
        print(made)
    else:
        head = HEAD.format(caption=CAPTION, pictures=PICTURES, steps=args.steps, cfg=args.cfg)
        PAGE.write_text(head + made, encoding="utf-8")
        print(f"{PAGE} written")
    if any(f"| {word} |" in made for word in BROKEN):
        sys.exit("Some pairs failed or were not finite.")


if __name__ == "__main__":
    main()
