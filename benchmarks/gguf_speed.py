"""GGUF's block types decoded, and linear layers on a CPU: gesso against gguf-py and diffusers, in one run.

    python benchmarks/gguf_speed.py [--types Q8_0,Q4_0] [--side 3072] [--repeats 5] [--threads N]

Prints JSON. Decoding is in gigabytes of float32 a second; the error against gguf-py is in units in the last place. Each
time is the best of the repeats, taken in turn, since other programs only ever make it longer. Needs gesso-gguf.
"""

# ruff: noqa: E402

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path = [folder for folder in sys.path if Path(folder).resolve() != Path(__file__).resolve().parent]  # not itself

import numpy as np
import torch
from diffusers.quantizers.gguf import utils as diffusers_gguf
from gguf import GGMLQuantizationType as Kind
from gguf import quants

from gesso import Weight
from gesso_gguf.blocks import DECODERS
from gesso_gguf.header import SIZES
from gesso_gguf.layers import build, dequantise

BATCHES = (1, 2, 4, 8, 16)
LINEAR = ("Q8_0", "Q4_0")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
Job = Callable[[], Any]


def best(jobs: dict[str, Job], repeats: int) -> dict[str, float]:
    """Seconds of each, the best of some turns after a first one that is not counted."""
    times = dict.fromkeys(jobs, float("inf"))
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if turn:
                times[name] = min(times[name], time.perf_counter() - start)
    return times


def blocks(kind: str, count: int) -> torch.Tensor:
    """Random blocks of ordinary numbers: scales that are infinite or none at all would only slow the others down."""
    raw = np.random.default_rng(0).integers(0, 256, (count, SIZES[kind][1]), dtype=np.uint8)
    with np.errstate(all="ignore"):
        finite = np.isfinite(quants.dequantize(raw, Kind[kind]).reshape(count, -1)).all(1)
    return torch.from_numpy(raw[finite])


def ulps(found: torch.Tensor, wanted: np.ndarray[Any, Any]) -> int:
    """The largest distance in units in the last place."""
    a, b = (x.astype(np.int64) for x in (found.numpy().view(np.int32), wanted.view(np.int32)))
    a, b = (np.where(x < 0, -(2**31) - x, x) for x in (a, b))
    return int(np.abs(a - b).max())


def decoding(kind: str, side: int, repeats: int) -> dict[str, Any]:
    values, size = SIZES[kind]
    raw = blocks(kind, side * side // values)
    weight = Weight(kind, (raw.shape[0], values), {"data": raw})
    theirs = diffusers_gguf.dequantize_functions.get(Kind[kind])
    jobs: dict[str, Job] = {
        "gesso": lambda: dequantise(weight, dtype=torch.float32),
        "gguf_py": lambda: quants.dequantize(raw.numpy(), Kind[kind]),
    }
    if theirs is not None:
        jobs["diffusers"] = lambda: theirs(raw, values, size, dtype=torch.float32)
    wanted = quants.dequantize(raw.numpy(), Kind[kind]).reshape(raw.shape[0], values)
    times = best(jobs, repeats)
    amount = wanted.nbytes / 1e9
    return {"type": kind, "max_ulp": ulps(dequantise(weight, dtype=torch.float32), wanted),
            "gb_s": {name: round(amount / seconds, 2) for name, seconds in times.items()}}  # fmt: skip


def linear(kind: str, dtype: str, side: int, repeats: int) -> list[dict[str, Any]]:
    weight = torch.randn(side, side, generator=torch.Generator().manual_seed(0)) * 0.02
    raw = torch.from_numpy(quants.quantize(weight.numpy(), Kind[kind]))
    compute = DTYPES[dtype]
    theirs = diffusers_gguf.GGUFLinear(side, side, bias=False, compute_dtype=compute)
    theirs.weight = diffusers_gguf.GGUFParameter(raw, quant_type=Kind[kind])
    with torch.device("meta"):
        empty = torch.nn.Linear(side, side, bias=False)
    ours = build(empty, "weight", Weight(kind, (side, side), {"data": raw}), dtype=compute, device=torch.device("cpu"))
    rows = []
    for batch in BATCHES:
        x = torch.randn(batch, side).to(compute)
        times = best({"gesso": lambda x=x: ours(x), "diffusers": lambda x=x: theirs(x)}, repeats)
        wanted = x.float() @ torch.from_numpy(quants.dequantize(raw.numpy(), Kind[kind])).T
        off = float((ours(x).float() - wanted).abs().max() / wanted.abs().max())
        row: dict[str, Any] = {"type": kind, "dtype": dtype, "batch": batch}
        row["ms"] = {name: round(seconds * 1e3, 2) for name, seconds in times.items()}
        row["times_diffusers"] = round(times["diffusers"] / times["gesso"], 1)
        row["relative_error"] = float(f"{off:.1e}")
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--types", default=",".join(DECODERS))
    parser.add_argument("--side", type=int, default=3072, help="of the square weights")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    kinds = arguments.types.split(",")
    if unknown := sorted(set(kinds) - set(DECODERS)):
        sys.exit(f"no such type: {', '.join(unknown)}; there are {', '.join(DECODERS)}")
    with torch.inference_mode():
        report = {
            "threads": arguments.threads, "side": arguments.side, "torch": torch.__version__,
            "decode": [decoding(kind, arguments.side, arguments.repeats) for kind in kinds],
            "linear": [row for kind in LINEAR if kind in kinds for dtype in DTYPES
                       for row in linear(kind, dtype, arguments.side, arguments.repeats)],
        }  # fmt: skip
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
