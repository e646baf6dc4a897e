"""`gesso i18n`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from gesso import LocaleReport, UnknownNameError
from gesso_ui.texts import catalog_of

app = typer.Typer(help="Texts of the page.", no_args_is_help=True, rich_markup_mode=None, add_completion=False)
SHOWN = 20


@app.callback()
def _group() -> None:
    """Texts of the page."""


@app.command()
def report(
    ctx: typer.Context,
    languages: Annotated[list[str] | None, typer.Argument(help="Only these, such as de; none: all.")] = None,
    whole: Annotated[bool, typer.Option("--all", help=f"Every key, not the first {SHOWN} of each kind.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """For each language: keys that are missing, keys nobody asks for any more, entries that cannot be used."""
    catalog = catalog_of(ctx.obj)
    wanted = languages or list(catalog.languages)
    for language in wanted:
        if language not in catalog.languages:
            raise UnknownNameError("language", language, catalog.languages)
    reports = [catalog.report(language) for language in wanted]
    if as_json:
        sys.stdout.write(json.dumps([asdict(one) for one in reports], indent=2, ensure_ascii=False) + "\n")
        return
    for one in reports:
        _print(one, len(catalog.english), sys.maxsize if whole else SHOWN)


def _print(one: LocaleReport, total: int, most: int) -> None:
    print(f"{one.language}: {total - len(one.missing)} of {total} texts")
    for title, found in (("missing", one.missing), ("stale", one.stale), ("unusable", one.unusable)):
        for name in found[:most]:
            print(f"    {title}: {name}")
        if len(found) > most:
            print(f"    {title}: {len(found) - most} more; --all lists them")
