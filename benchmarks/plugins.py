"""What installed plugins cost: at the start of command line and page, and at each step of a picture. Prints JSON.

    python benchmarks/plugins.py [--counts 0 50 200 1000] [--repeats 3]

The plugins are real distributions in an environment of their own: files, metadata and bytecode as pip leaves them,
found through importlib.metadata. Each brings a sampler and listens to steps. All is CPU time of fresh processes, the
best of some runs (which a busy machine hardly changes), after the first start has probed them once, as an install does.
"""

from __future__ import annotations

import argparse
import base64
import compileall
import hashlib
import json
import os
import re
import signal
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from gesso.testing.overlay import Overlay

EACH_MS, STEP_MS = 1.0, 0.3
"""What gesso promises: CPU a plugin at start, and a step with 100 plugins that listen to it."""
LISTENERS = 100
PLUGIN = '''"""A light plugin."""

from gesso import Registrar, Sampler, SamplerFn, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_samplers(registry: Registrar[Sampler]) -> None:
    registry.add(Sampler(name="{name}", label="{name}", run=lazy(".sampling:run", SamplerFn)))


@hookimpl
def gesso_on_step(ctx, step) -> None:
    pass
'''
SPLIT = """
import json, time
from gesso.plugins.discovery import discover
from gesso.plugins.host import Host
start = time.process_time()
discover()
scan = time.process_time() - start
start = time.process_time()
host = Host.load("host")
load = time.process_time() - start
start = time.process_time()
host.fill()
register = time.process_time() - start
bad = [state.error for state in host.states if state.state != "enabled"]
print(json.dumps({"scan": scan, "import": load - scan, "register": register, "bad": bad}))
"""
STEPS = """
import json, time
from gesso.plugins.host import Host
host = Host.load("worker", heavy_allowed=True)
host.fill()
start = time.process_time()
host.emit("gesso_on_step", ctx=None, step=None)
first = time.process_time() - start
runs = []
for _ in range(5):
    start = time.process_time()
    for _ in range(1000):
        host.emit("gesso_on_step", ctx=None, step=None)
    runs.append(time.process_time() - start)
print(json.dumps({"first_ms": first * 1e3, "step_ms": min(runs)}))
"""


def install(site: Path, first: int, last: int) -> None:
    """Write light plugins number `first` to `last` as pip would have: package, bytecode, dist-info with RECORD."""
    for number in range(first, last):
        name = f"light{number:04d}"
        info = f"gesso_{name}-1.0.dist-info"
        files = {
            f"gesso_{name}/__init__.py": "",
            f"gesso_{name}/plugin.py": PLUGIN.format(name=name),
            f"{info}/METADATA": f"Metadata-Version: 2.4\nName: gesso-{name}\nVersion: 1.0\nSummary: Light.\n"
                                "Requires-Python: >=3.11\nRequires-Dist: gesso\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hatchling\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": f"[gesso]\n{name} = gesso_{name}.plugin\n",
            f"{info}/INSTALLER": "pip\n",
            f"{info}/REQUESTED": "",
        }  # fmt: skip
        record = "".join(f"{path},{_hash(text)},{len(text.encode())}\n" for path, text in files.items())
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            (site / path).parent.mkdir(exist_ok=True)
            (site / path).write_text(text, encoding="utf-8")
        compileall.compile_dir(site / f"gesso_{name}", quiet=1)


def _hash(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def cpu(overlay: Overlay, *arguments: str) -> float:
    """User and system seconds of one command."""
    child = subprocess.Popen(
        [str(overlay.python), "-P", *arguments], env=overlay.environment(), stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{arguments} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def page_cpu(overlay: Overlay) -> float:
    """CPU seconds of the serving process (not its worker's) up to its first answer."""
    process = subprocess.Popen(
        [str(overlay.python), "-P", "-m", "gesso", "ui", "--no-browser", "--port", "0"],
        env=overlay.environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        url = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
        with urllib.request.urlopen(url, timeout=120) as page:
            page.read()
        times = psutil.Process(process.pid).cpu_times()
        return float(times.user + times.system)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def measure(overlay: Overlay, repeats: int) -> dict[str, Any]:
    """Seconds of CPU: the command line, the page, and the three parts of loading plugins."""
    overlay.run("-m", "gesso", "plugins", "list", "--json")
    parts = [json.loads(overlay.run("-P", "-c", SPLIT).stdout) for _ in range(repeats)]
    assert not any(part["bad"] for part in parts), parts[0]["bad"][:3]
    return {
        "command": min(cpu(overlay, "-m", "gesso", "samplers", "--json") for _ in range(repeats)),
        "help": min(cpu(overlay, "-m", "gesso", "--help") for _ in range(repeats)),
        "page": min(page_cpu(overlay) for _ in range(repeats)),
        **{name: min(part[name] for part in parts) for name in ("scan", "import", "register")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[0, 50, 200, 1000])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    rows, there, steps = {}, 0, {}
    with tempfile.TemporaryDirectory(prefix="gesso-plugins-", ignore_cleanup_errors=True) as folder:
        overlay = Overlay(Path(folder))
        for count in sorted({*args.counts, LISTENERS}):
            install(overlay.site, there, count)
            there = count
            if count in args.counts:
                rows[count] = measure(overlay, args.repeats)
            if count == LISTENERS:
                overlay.run("-m", "gesso", "plugins", "list", "--json")
                steps = json.loads(overlay.run("-P", "-c", STEPS).stdout)
    none = rows[min(rows)]
    each = {
        count: {name: round((row[name] - none[name]) / count * 1e3, 3) for name in row}
        for count, row in rows.items()
        if count
    }
    result = {
        "cpu_seconds": {count: {name: round(value, 3) for name, value in row.items()} for count, row in rows.items()},
        "ms_a_plugin": each,
        f"step_with_{LISTENERS}_plugins": {name: round(value, 4) for name, value in steps.items()},
        "promised": {"ms_a_plugin": EACH_MS, "step_ms": STEP_MS}, "load_average": os.getloadavg()[0],
    }  # fmt: skip
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
