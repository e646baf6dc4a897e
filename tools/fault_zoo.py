"""Try every plugin of the fault zoo and write what came of it into docs/fault_zoo.md.

    python tools/fault_zoo.py [--result FILE.json]

Builds and installs about forty broken distributions into a throw-away environment; takes two to five minutes. With
`--result` the page is made from what `tests/faults/zoo/run.py` has printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "fault_zoo.md"
RUN = ROOT / "tests" / "faults" / "zoo" / "run.py"
PROMISES = ("boots", "others", "picture", "report")
HEAD = """\
# The fault zoo

What plugins do wrong, each as a small distribution of its own: built into a wheel, installed with pip into a throw-away
environment, probed with all the others, and then loaded alone, in a process that serves the page and in one that makes
pictures as the worker does. These are forks of processes that have imported Gradio or torch and no plugin, which saves
minutes. What takes the worker with it, and ten at once, run in a real `gesso ui` with its worker process.

Made by `python tools/fault_zoo.py` (about 130 s of CPU); a test makes it anew and compares.

- **boots**: the page answers over HTTP, with all of its tabs, before and after whatever the plugin does.
- **others**: every other plugin is in the state it has without this one, every record in every registry is as it was.
- **picture**: a demo picture with the plugin, and another one after it, are the same bytes as without. Where the plugin
  is what the job asks for (its sampler), that job fails, and the next one makes the picture.
- **report**: state, hook and phase are the ones of this table, and the report to paste names plugin, distribution,
  version, hook and phase.

"""
FOOT = """
How each of these is caught is said on the page [Plugins](plugins.md). None of it is a sandbox: it is for accidents, and
a plugin that means harm can do it.
"""


def page(result: dict[str, Any]) -> str:
    """The page of the documentation."""
    rows = [
        [one["name"], one["does"], *_kept(one), one["state"], one["where"], one["error"]] for one in result["findings"]
    ]
    well = sum(not one["problems"] for one in result["findings"])
    text = f"{HEAD}**{well} of {len(rows)} keep every promise.**\n\n"
    text += _table(["plugin", "what it does", *PROMISES, "state", "phase, hook", "what is said"], rows)
    text += "\n## Several at once\n\n"
    several = [[one["does"], *_kept(one), one["state"]] for one in result["several"]]
    return text + _table(["which", *PROMISES, "then"], several) + FOOT


def _kept(one: dict[str, Any]) -> list[str]:
    return ["**no**" if "boots" in one["broken"] or promise in one["broken"] else "yes" for promise in PROMISES]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--result", type=Path, help="What run.py has printed, to make the page from.")
    args = parser.parse_args()
    if args.result:
        text = args.result.read_text(encoding="utf-8")
    else:
        text = subprocess.run([sys.executable, str(RUN)], stdout=subprocess.PIPE, text=True, check=False).stdout
    result = json.loads(text)
    PAGE.write_text(page(result), encoding="utf-8")
    problems = [f"{one['name']}: {p}" for one in result["findings"] + result["several"] for p in one["problems"]]
    print("\n".join(problems) or f"{len(result['findings'])} of {len(result['findings'])} keep every promise.")
    print(f"{PAGE.relative_to(ROOT)}; {result['seconds']['all']} s", file=sys.stderr)
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
