"""`gesso smoke`: the contract suite over installed plugins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from gesso.cli.app import CHOICE, guarded
from gesso.references import lazy


class SmokeFn(Protocol):
    """Runs the suite and prints; whether all is well."""

    def __call__(
        self,
        names: Sequence[str],
        *,
        everything: bool,
        checks: Sequence[str],
        quick: bool,
        recipes: Sequence[Path],
        plugins_dir: Path | None,
        as_json: bool,
        json_file: Path | None,
        html_file: Path | None,
        last: Path | None,
    ) -> bool: ...


# By name: the core does not know the suite, which is built on it.
SMOKE = lazy("gesso_smoke.command:smoke", SmokeFn)


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Plugins; without a name all that do not ship with gesso.", metavar="NAME"),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that ship with gesso as well.")] = False,
    check: Annotated[list[str] | None, typer.Option(help="Only this check (may be given again).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the JSON report to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page to this file.")] = None,
    last: Annotated[Path | None, typer.Option(help="An earlier JSON report: fail on new failures only.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the checks that make pictures.")] = False,
    recipe: Annotated[
        list[Path] | None, typer.Option(help="Install what this .toml file (or folder of them) names, and check that.")
    ] = None,
) -> None:
    """Check that plugins keep gesso's contracts: imports, registration, records, numbers, pictures, clean-up."""
    asked = {
        "everything": everything, "checks": check or [], "quick": quick, "recipes": recipe or [], "as_json": as_json,
        "json_file": out, "html_file": html, "last": last,
    }  # fmt: skip
    guarded(_smoke, as_json, names or [], asked)


def _smoke(names: list[str], asked: dict[str, Any]) -> None:
    well = SMOKE.load()(names, plugins_dir=CHOICE.plugins_dir, **asked)
    if not well:
        raise SystemExit(1)
