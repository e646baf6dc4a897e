"""What `gesso smoke` does."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gesso import InvalidInputError, UnknownNameError
from gesso.testing import Installed, find_plugins
from gesso_smoke.gaps import known_gaps, with_gaps
from gesso_smoke.recipes import read_recipes, try_recipe
from gesso_smoke.report import html, lines, new_failures, read_report, report, write
from gesso_smoke.rules import ORDER, PICTURES
from gesso_smoke.run import Result, check_plugins


def smoke(
    names: Sequence[str],
    *,
    everything: bool = False,
    checks: Sequence[str] = (),
    quick: bool = False,
    recipes: Sequence[Path] = (),
    plugins_dir: Path | None = None,
    as_json: bool = False,
    json_file: Path | None = None,
    html_file: Path | None = None,
    last: Path | None = None,
) -> bool:
    """Check the plugins named: without a name all that do not ship with gesso, with `everything` those as well.

    With `recipes` those are installed aside and checked, and nothing else unless it is named. Prints one JSON document
    with `as_json`, else a line a plugin and one a failure. `last` is an earlier report: then only what it does not
    hold counts (`new_failures`). Returns whether all is well.
    """
    for name in checks:
        if name not in ORDER:
            raise UnknownNameError("check", name, ORDER)
    before = None if last is None else read_report(last)
    chosen = [name for name in checks or ORDER if name not in PICTURES] if quick else list(checks)

    def tell(plugin: Installed, results: list[Result]) -> None:
        text = "\n".join(lines(plugin, results))
        print(text, file=sys.stderr if as_json else sys.stdout, flush=True)

    plugins, results = _installed(names, everything, chosen, plugins_dir, tell, optional=bool(recipes))
    for recipe in read_recipes(recipes) if recipes else ():
        brought, found = try_recipe(recipe, chosen)
        for plugin in brought:
            tell(plugin, [result for result in found if result.plugin == plugin.id])
        plugins, results = [*plugins, *brought], [*results, *found]
    document = report(plugins, results)
    if json_file is not None:
        write(json_file, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    if html_file is not None:
        write(html_file, html(document))
    if as_json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    if before is not None:
        new = new_failures(document, before)
        print("\n".join(["New failures:", *new] if new else ["No new failure."]), file=sys.stderr)
        return not new
    return not any(result.outcome == "fail" for result in results)


def _installed(
    names: Sequence[str],
    everything: bool,
    checks: Sequence[str],
    plugins_dir: Path | None,
    tell: Callable[[Installed, list[Result]], None],
    *,
    optional: bool,
) -> tuple[list[Installed], list[Result]]:
    """The plugins that are installed here, and their results."""
    if optional and not names and not everything:
        return [], []
    plugins = find_plugins(names, plugins_dir=plugins_dir)
    if not names and not everything:
        plugins = [plugin for plugin in plugins if not plugin.built_in]
        if not plugins:
            raise InvalidInputError("No plugin is installed beside gesso's own.", hint="Try gesso smoke --all.")
    gaps = known_gaps()
    told = check_plugins(plugins, plugins_dir=plugins_dir, checks=checks, told=lambda p, r: tell(p, with_gaps(r, gaps)))
    return plugins, with_gaps(told, gaps)
