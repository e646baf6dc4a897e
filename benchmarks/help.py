"""CPU time of `gesso --help` against a bare typer + pydantic program, with 0 and 200 plugins installed; one run.

    python benchmarks/help.py [--repeats 10]

Prints JSON. The plugins are real distributions in a folder of their own; each adds a sampler and a subcommand.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BARE = """
import pydantic, typer
class Model(pydantic.BaseModel):
    x: int = 1
app = typer.Typer(add_completion=False, rich_markup_mode=None)
for name in "abcdefgh":
    app.command(name)(lambda x: None)
app()
"""
PLUGIN = """
from gesso import Command, Sampler, SamplerFn, hookimpl, lazy
api = "1"
@hookimpl
def gesso_register_samplers(registry):
    registry.add(Sampler(name="{name}", run=lazy("x:y", SamplerFn)))
@hookimpl
def gesso_register_commands(registry):
    registry.add(Command(name="{name}", help="Nothing.", app=lazy("x:y", object)))
"""


def install(site: Path, count: int) -> None:
    """Write `count` light plugins as pip would leave them."""
    for number in range(count):
        name = f"light{number:03d}"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}.py").write_text(PLUGIN.format(name=name))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[gesso]\n{name} = {name}\n")
        (info / "RECORD").write_text(f"{name}.py,,\n")


def cpu(command: list[str], environment: dict[str, str]) -> float:
    """User and system seconds of one run."""
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    room = Path(tempfile.mkdtemp())
    install(room / "site", 200)
    base = dict(os.environ)
    ours = [sys.executable, "-m", "gesso", "--help"]
    runs = {
        "bare": ([sys.executable, "-c", BARE, "--help"], base),
        "gesso_0": (ours, {**base, "GESSO_HOME": str(room / "none")}),
        "gesso_200": (ours, {**base, "GESSO_HOME": str(room / "many"), "PYTHONPATH": str(room / "site")}),
    }
    for _, environment in list(runs.values())[1:]:  # fill the probe's cache, as an install does
        subprocess.run([sys.executable, "-m", "gesso", "plugins", "list", "--json"], env=environment, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    best = {name: min(cpu(command, env) for _ in range(repeats)) for name, (command, env) in runs.items()}
    ratios = {f"{name}_to_bare": round(best[name] / best["bare"], 3) for name in ("gesso_0", "gesso_200")}
    print(json.dumps({**{f"{k}_cpu_ms": round(v * 1e3, 1) for k, v in best.items()}, **ratios}, indent=2))


if __name__ == "__main__":
    main()
