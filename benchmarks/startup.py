"""How soon the page answers and what it costs idle, beside an empty Gradio app served the same way. Prints JSON.

    python benchmarks/startup.py [--runs 5]

Both are real processes on a free port, started in turn; "answers" is the first complete GET of the page. Idle memory is
the serving process's resident memory some seconds later (the worker, a process of its own, is listed apart).
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

EMPTY = """
import sys
import fastapi, gradio, uvicorn
with gradio.Blocks(analytics_enabled=False) as page:
    gradio.Button("Hello")
app = gradio.mount_gradio_app(fastapi.FastAPI(), page, path="/", ssr_mode=False)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""
PATIENCE_S = 120.0
TIMES, MEMORY = 1.4, 1.5
"""What gesso promises: at most so many times the empty app's."""


@dataclass(frozen=True)
class Run:
    """One start: seconds to the first answer, on the clock and of CPU time (which a busy machine hardly changes); bytes
    resident when idle, of the serving process and of its children."""

    seconds: float
    cpu: float
    memory: int
    children: int
    torch: bool


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(command: list[str], port: int, home: str, idle_s: float) -> Run:
    environment = {
        **os.environ, "GESSO_HOME": home, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.DEVNULL)
    try:
        seconds = answer(process, port, begin)
        watched = psutil.Process(process.pid)
        times = watched.cpu_times()
        time.sleep(idle_s)
        torch = any("libtorch" in region.path for region in watched.memory_maps(grouped=True))
        children = sum(child.memory_info().rss for child in watched.children(recursive=True))
        return Run(seconds, times.user + times.system, watched.memory_info().rss, children, torch)
    finally:
        process.terminate()
        process.wait(60)


def answer(process: subprocess.Popen[bytes], port: int, begin: float) -> float:
    while time.perf_counter() - begin < PATIENCE_S:
        if process.poll() is not None:
            raise SystemExit(f"The server ended with code {process.returncode}.")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE_S) as page:
                page.read()
            return time.perf_counter() - begin
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.01)
    raise SystemExit("The page did not answer.")


def side(runs: list[Run]) -> dict[str, object]:
    return {
        "seconds": [round(run.seconds, 2) for run in runs],
        "median_seconds": round(statistics.median(run.seconds for run in runs), 2),
        "best_seconds": round(min(run.seconds for run in runs), 2),
        "cpu_seconds": [round(run.cpu, 2) for run in runs],
        "median_memory_mb": round(statistics.median(run.memory for run in runs) / 1e6, 1),
        "median_children_mb": round(statistics.median(run.children for run in runs) / 1e6, 1),
        "torch_mapped": any(run.torch for run in runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--idle", type=float, default=4.0, help="seconds before memory is read")
    args = parser.parse_args()
    empty, gesso = [], []
    with tempfile.TemporaryDirectory(prefix="gesso-startup-") as home:
        script = Path(home) / "empty.py"
        script.write_text(EMPTY)
        # What an install does: plugins are probed, the data folder is made.
        environment = {**os.environ, "GESSO_HOME": home}
        install = [sys.executable, "-m", "gesso", "plugins", "list"]
        subprocess.run(install, env=environment, check=True, capture_output=True)
        for number in range(args.runs + 1):
            port = free_port()
            one = start([str(script), str(port)], port, home, args.idle)
            port = free_port()
            command = ["-m", "gesso", "ui", "--no-browser", "--port", str(port)]
            other = start(command, port, home, args.idle)
            if number:  # the first pair warms the disk's cache
                empty.append(one)
                gesso.append(other)

    def ratio(of: Callable[[Run], float]) -> float:
        return round(statistics.median(of(g) / of(e) for g, e in zip(gesso, empty, strict=True)), 2)

    result = {
        "empty_gradio_app": side(empty), "gesso": side(gesso), "ratio_seconds": ratio(lambda run: run.seconds),
        "ratio_cpu_seconds": ratio(lambda run: run.cpu), "ratio_memory": ratio(lambda run: run.memory),
        "promised": {"seconds": TIMES, "memory": MEMORY}, "load_average": os.getloadavg()[0],
    }  # fmt: skip
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
