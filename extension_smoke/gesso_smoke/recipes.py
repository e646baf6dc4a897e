"""Recipes: third-party plugins as data. A .toml file says where one comes from and how it is tried.

    install = ["gesso-halfway==1.2"]      what pip is given; a path is relative to the recipe
    plugins = ["halfway"]                 which to check; without it all that the install brings
    pip = ["--no-deps"]                   more of pip's options
    quick = true                          leave out the checks that make pictures
    checks = ["probe", "registers"]       these alone
    [[gap]]                               what is known to fail, as in known_gaps.toml
    check = "described"
    reason = "The author has been told."

Each is installed into a throw-away environment laid over this one; nothing here changes, and no version of what is
installed here either: pip is held to it.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesso import BadFileError
from gesso.testing import Installed, find_plugins
from gesso.testing.overlay import Overlay
from gesso_smoke.gaps import Gap, with_gaps
from gesso_smoke.rules import ORDER
from gesso_smoke.run import Result

FIELDS = {"install": list, "plugins": list, "pip": list, "checks": list, "quick": bool, "gap": list}
_LIST = """
import json
from dataclasses import asdict
from gesso.testing import find_plugins
print(json.dumps([asdict(plugin) for plugin in find_plugins()]))
"""


@dataclass(frozen=True)
class Recipe:
    """Where a plugin comes from and how it is tried."""

    file: Path
    install: tuple[str, ...]
    plugins: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    quick: bool = False
    gaps: tuple[tuple[str, str, str], ...] = ()
    """(check, record, reason)."""

    @property
    def name(self) -> str:
        return self.file.stem


def read_recipes(paths: Sequence[Path]) -> list[Recipe]:
    """The recipes of these files, and of all .toml files in these folders. BadFileError names what is wrong."""
    files = [file for path in paths for file in (sorted(path.glob("*.toml")) if path.is_dir() else [path])]
    if not files:
        raise BadFileError(f"There is no recipe in {', '.join(map(str, paths))}.", hint="A recipe is a .toml file.")
    return [_read(file) for file in files]


def _read(file: Path) -> Recipe:
    try:
        data: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        for key, value in data.items():
            if not isinstance(value, FIELDS.get(key, ())):
                raise ValueError(f"{key!r} is no field of a recipe or of the wrong type; there are {', '.join(FIELDS)}")
        if not data.get("install"):
            raise ValueError("it does not say what to install")
        gaps = tuple((g["check"], g.get("record", ""), g["reason"]) for g in data.pop("gap", ()))
        unknown = {check for check, _, _ in gaps} | set(data.get("checks", ()))
        if unknown := unknown - set(ORDER):
            raise ValueError(f"there is no check {min(unknown)!r}")
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return Recipe(file, gaps=gaps, **given)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFileError(f"{file} is no recipe: {error}.") from None


def try_recipe(recipe: Recipe, checks: Sequence[str] = ()) -> tuple[list[Installed], list[Result]]:
    """The plugins that came with it and what came of their checks; an install that fails is a failed check."""
    with tempfile.TemporaryDirectory(prefix="gesso-recipe-", ignore_cleanup_errors=True) as folder:
        overlay = Overlay(Path(folder))
        start = time.perf_counter()
        problem = _install(recipe, overlay)
        ms = round((time.perf_counter() - start) * 1000, 1)
        brought = [] if problem else _brought(recipe, overlay)
        if not brought:
            name = f"recipe:{recipe.name}"
            mine = Installed(name, recipe.name, name, "", "", built_in=False, local=False)
            text = problem or "It brings no plugin, or none of those named."
            return [mine], [Result(name, "install", "", "fail", text, ms)]
        results = [Result(plugin.id, "install", "", "pass", "", ms) for plugin in brought]
        results += _checked(recipe, overlay, [plugin.id for plugin in brought], checks)
        gaps = [Gap(plugin.id, *gap) for plugin in brought for gap in recipe.gaps]
        return brought, with_gaps(results, gaps)


def _install(recipe: Recipe, overlay: Overlay) -> str:
    """Why pip could not install it, "" when it could."""
    pins = overlay.folder / "constraints.txt"
    here = {(d.name, d.version) for d in importlib.metadata.distributions() if d.name}
    pins.write_text("".join(f"{name}=={version}\n" for name, version in sorted(here)), encoding="utf-8")
    wanted = [str((recipe.file.parent / what).resolve()) if what.startswith((".", "/")) else what
              for what in recipe.install]  # fmt: skip
    done = overlay.run("-m", "pip", "install", "--quiet", "-c", str(pins), *recipe.pip, *wanted, check=False)
    return "" if done.returncode == 0 else f"pip: {done.stderr.strip()[-1000:]}"


def _brought(recipe: Recipe, overlay: Overlay) -> list[Installed]:
    """What is there now and was not, or of it what the recipe names."""
    here = {plugin.id for plugin in find_plugins()}
    there = [Installed(**plugin) for plugin in json.loads(overlay.run("-P", "-c", _LIST).stdout)]
    named = set(recipe.plugins)
    new = [plugin for plugin in there if plugin.id not in here]
    return [plugin for plugin in new if not named or named & {plugin.id, plugin.name, plugin.dist}]


def _checked(recipe: Recipe, overlay: Overlay, plugins: list[str], checks: Sequence[str]) -> list[Result]:
    chosen = [option for check in (checks or recipe.checks) for option in ("--check", check)]
    command = [str(overlay.python), "-P", "-m", "gesso", "smoke", *plugins, *chosen, "--json"]
    if recipe.quick:
        command.append("--quick")
    # What the suite tells meanwhile is for people: it goes where ours does.
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, check=False,
                          env=overlay.environment(), stdin=subprocess.DEVNULL)  # fmt: skip
    try:
        document = json.loads(done.stdout)
        return [Result(row["plugin"], **check) for row in document["plugins"] for check in row["checks"]]
    except (ValueError, KeyError, TypeError):
        said = done.stdout.strip()[-500:]
        return [Result(plugin, "process", "", "fail", f"The suite did not run: {said}") for plugin in plugins]
