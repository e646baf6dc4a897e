"""Runs the checks over plugins: each plugin in a child process, so that a crash is one line of the report."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from gesso.testing import Contents, Installed, PatchWatch, arrangements
from gesso.testing.observe import end_with_parent, run_child
from gesso.testing.patches import WATCHED, WATCHED_WITH_PAGE
from gesso_smoke.rules import BrokenRuleError, NotApplicable, Rule, all_rules, rule
from gesso_smoke.subject import Subject, code_problem

Outcome = Literal["pass", "fail", "skip", "gap"]
CODELESS = ("params", "settings", "model_folders", "commands", "checks")
"""Registries whose records bring no code into the worker."""
PLUGIN_SECONDS = 900.0
"""What all checks of one plugin may take, on a machine that is busy with other things."""


@dataclass(frozen=True)
class Result:
    """What came of one check on one plugin, or on one of its records."""

    plugin: str
    check: str
    record: str
    outcome: Outcome
    message: str = ""
    ms: float = 0.0
    mb: float = 0.0
    """Growth of the child's resident memory meanwhile."""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.plugin, self.check, self.record


def run_rules(subject: Subject, rules: Sequence[Rule]) -> Iterator[Result]:
    """Every rule on everything of the plugin it applies to. What a check raises is its result."""
    for held in rules:
        if why := _problem(subject, held):
            yield Result(subject.id, held.name, "", "skip", why)
            continue
        for label, item in subject.items(held.of):
            if held.needs == "code" and held.of != "plugin" and (why := code_problem(item)):
                yield Result(subject.id, held.name, label, "skip", why)
            else:
                yield _measured(subject, held, label, item)


def _problem(subject: Subject, held: Rule) -> str:
    try:
        return subject.problem(held.needs)
    except Exception as error:
        return f"It could not be loaded for this: {type(error).__name__}: {error}"


def _measured(subject: Subject, held: Rule, label: str, item: Any) -> Result:
    process = psutil.Process()
    memory, start = process.memory_info().rss, time.perf_counter()
    outcome, message = _tried(lambda: held.check(subject) if held.of == "plugin" else held.check(subject, item))
    ms = (time.perf_counter() - start) * 1000
    mb = max(process.memory_info().rss - memory, 0) / 2**20
    return Result(subject.id, held.name, label, outcome, message, round(ms, 1), round(mb, 1))


def _tried(check: Callable[[], None]) -> tuple[Outcome, str]:
    try:
        check()
    except BrokenRuleError as error:
        return "fail", str(error)
    except NotApplicable as error:
        return "skip", str(error)
    except Exception as error:
        return "fail", f"{type(error).__name__}: {error}"
    return "pass", ""


# --- the parent ---------------------------------------------------------------------------------------------------


def check_plugins(
    plugins: Sequence[Installed],
    *,
    plugins_dir: Path | None = None,
    checks: Sequence[str] = (),
    told: Callable[[Installed, list[Result]], None] = lambda plugin, results: None,
) -> list[Result]:
    """All checks (or those named) of these plugins, one child process after the other; `told` after each plugin."""
    for name in checks:
        rule(name)
    try:
        together = [asdict(arrangement) for arrangement in arrangements(plugins_dir=plugins_dir)]
    except RuntimeError:
        together = []  # a plugin ends the process: each one's own checks say which
    results: list[Result] = []
    for plugin in plugins:
        found = _check_one(plugin.id, plugins_dir, checks, together)
        told(plugin, found)
        results += found
    return results


def _check_one(
    plugin: str, plugins_dir: Path | None, checks: Sequence[str], together: list[dict[str, Any]]
) -> list[Result]:
    request = {
        "plugin": plugin, "plugins_dir": str(plugins_dir or ""), "checks": list(checks), "together": together
    }  # fmt: skip
    done = run_child("gesso_smoke.run", request, PLUGIN_SECONDS)
    results = [Result(**item) for item in done.get("results", ())]
    if "died" in done:
        results.append(Result(plugin, "process", "", "fail", f"{done['died']} {done['output'][-1500:]}".strip()))
    return results


def in_child(subject: Subject, checks: Sequence[str]) -> list[Result]:
    """These checks in a fresh process, where nothing of the plugin has been imported before."""
    return _check_one(subject.id, subject.plugins_dir, checks, [])


# --- the child ----------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    """Check the plugin of the request file and write the results; ends without running what was left behind."""
    end_with_parent()
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    folder = Path(request["plugins_dir"]) if request["plugins_dir"] else None
    rules = [rule(name) for name in request["checks"]] or all_rules()
    together = [Contents.from_json(item) for item in request["together"]] or None
    subject = Subject(request["plugin"], plugins_dir=folder, together=together)
    results: list[Result] = []
    if subject.observation.state == "enabled":  # else nothing of it is loaded here, and torch not either
        subject.watch = _watch(subject.alone)
    for result in run_rules(subject, rules):
        results.append(result)
        written = Path(arguments[1]).with_suffix(".new")
        written.write_text(json.dumps({"results": [asdict(r) for r in results]}), encoding="utf-8")
        written.replace(arguments[1])
    os._exit(0)


def _watch(alone: Contents) -> PatchWatch:
    """A watch over what libraries hold, begun before anything of the plugin is here; empty when it brings no code."""
    brought = [name for name, found in alone.records.items() if found and name not in CODELESS]
    if not brought:
        return PatchWatch(())
    import torch

    torch.set_num_threads(1)  # toys are small, and results stay the same on any machine
    return PatchWatch((*WATCHED, *WATCHED_WITH_PAGE) if "tabs" in brought else WATCHED)


if __name__ == "__main__":
    main(sys.argv[1:])
