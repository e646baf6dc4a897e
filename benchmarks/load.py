"""Loading a checkpoint: time, peak anonymous memory against the weights' size, and one denoising step.

    python benchmarks/load.py FILE [--dtype bf16] [--size 1024]

Prints JSON. Anonymous memory (RssAnon) is what the process itself takes; mapped file pages come and go.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from pathlib import Path
from typing import Any, Self

import torch

from gesso.models.detect import detect
from gesso.models.headers import read_header
from gesso.models.loading import LoadOptions, load_model
from gesso.models.readers import SafetensorsReader
from gesso.plugins.host import Host
from gesso.types import ModelRef

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def anonymous() -> int:
    """Bytes of anonymous memory of this process now (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("RssAnon is only known on Linux.")


class Peak:
    """Samples anonymous memory every millisecond while it is open."""

    def __enter__(self) -> Self:
        self.before = self.highest = anonymous()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.001):
            self.highest = max(self.highest, anonymous())

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.highest = max(self.highest, anonymous())


def measure(file: Path, dtype: torch.dtype, side: int = 0) -> dict[str, Any]:
    """Load the file and take one UNet step, at its own size or for a square picture of `side` pixels."""
    host = Host.load("both", probe=False)
    header = read_header(file)
    match = detect(header, host, str(file))
    _warm(host)
    options = LoadOptions(torch.device("cpu"), dtype, dtype)
    started = time.perf_counter()
    with Peak() as peak:
        model = load_model(
            ModelRef(role="checkpoint", name=file.stem), SafetensorsReader(file, header), match, host, options
        )
    seconds = time.perf_counter() - started
    tensors = [t for c in model.components().values() for t in (*c.module.parameters(), *c.module.buffers())]
    size = model.bytes()
    picture = (side, side) if side else (model.defaults.width, model.defaults.height)
    encode = model.family.encode_prompt.load()
    entry = encode(model, [_prompt("a test")], size=picture, role="positive", options={}).entries[0]
    x = torch.randn(1, 4, picture[1] // 8, picture[0] // 8) * model.sampling.sigma_max
    started = time.perf_counter()
    with torch.inference_mode():
        x0 = model.family.predict.load()(model, x, model.sampling.sigma_max, entry)
    return {
        "file_bytes": file.stat().st_size,
        "weights_bytes": size,
        "dtype": str(dtype),
        "on_meta": sum(t.is_meta for t in tensors),
        "load_seconds": round(seconds, 3),
        "peak_anonymous_bytes": peak.highest - peak.before,
        "peak_to_weights": round((peak.highest - peak.before) / size, 3),
        "picture": list(picture),
        "step_seconds": round(time.perf_counter() - started, 3),
        "finite": bool(torch.isfinite(x0).all()),
    }


def _prompt(text: str) -> Any:
    from gesso import Prompt

    return Prompt.plain(text)


def _warm(host: Host) -> None:
    """Import what loading needs, so that only the loading is measured."""
    for family in host.registry("families"):
        for part in family.parts.values():
            part.build.load()
        for use in family.text:
            host.registry("text_encoders").get(use.encoder).part.build.load()
        host.registry("vaes").get(family.vae).part.build.load()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="bf16")
    parser.add_argument("--size", type=int, default=0, help="side of the step's picture; the model's own unless given")
    args = parser.parse_args()
    print(json.dumps(measure(args.file, DTYPES[args.dtype], args.size), indent=2))


if __name__ == "__main__":
    main()
