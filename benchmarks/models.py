"""How long a big model library takes to look through: first, again, and again after one file came.

python benchmarks/models.py [--files 10000] [--tensors 700]

Files are headers as a LoRA has them, the weights a hole in the file. Prints JSON, times in seconds. For
comparison, in the same run: only asking for each file's size, and reading every header with the safetensors package.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class NoHooks:
    """No plugin takes part."""

    def registry(self, name: str) -> Any:
        return []

    def choose(self, hook: str, /, **kwargs: Any) -> Any:
        return None


def make(folder: Path, files: int, tensors: int) -> None:
    """Files with `tensors` tensors of 320 × 320 halves each; the data are a hole."""
    size = 320 * 320 * 2
    header = {
        f"lora_unet_down_blocks_{i}_attentions_0.lora_down.weight": {
            "dtype": "F16", "shape": [320, 320], "data_offsets": [i * size, (i + 1) * size]
        }
        for i in range(tensors)
    }  # fmt: skip
    text = json.dumps(header).encode()
    for i in range(files):
        path = folder / f"{i // 500}" / f"{i}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + tensors * size)


def timed(function: Callable[[], Any]) -> dict[str, float]:
    """Seconds on the clock and of this process's CPU time, which a busy machine disturbs less."""
    start, cpu = time.perf_counter(), time.process_time()
    function()
    return {"wall": round(time.perf_counter() - start, 3), "cpu": round(time.process_time() - cpu, 3)}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--files", type=int, default=10_000)
    arguments.add_argument("--tensors", type=int, default=700)
    given = arguments.parse_args()
    from safetensors import safe_open

    from gesso.contributions import ModelFolder
    from gesso.models.library import Library

    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "loras"
        make(folder, given.files, given.tensors)

        def library() -> Library:
            return Library(NoHooks(), Path(base) / "m.sqlite3", [ModelFolder(name="l", role="lora", path=folder)])

        paths = [Path(root) / name for root, _, names in os.walk(folder) for name in names]

        def headers() -> None:
            for path in paths:
                with safe_open(path, "np") as file:
                    len(list(file.keys()))

        seconds = {
            "walk_and_stat": timed(lambda: [path.stat() for path in paths]),
            "safetensors_headers": timed(headers),
        }
        seconds["first"] = timed(lambda: library().entries("lora"))
        again = library()
        seconds["again"] = timed(lambda: again.entries("lora"))
        seconds["rescan"] = timed(lambda: again.entries("lora", rescan=True))
        (folder / "0" / "new.safetensors").write_bytes(paths[0].read_bytes()[:0])
        seconds["one_more"] = timed(lambda: again.entries("lora", rescan=True))
        seconds["find_first"] = timed(lambda: again.find("17", "lora"))
        seconds["find"] = timed(lambda: again.find("18", "lora"))
    print(json.dumps({"files": given.files, "tensors": given.tensors, "seconds": seconds}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
