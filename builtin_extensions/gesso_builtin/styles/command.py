"""`gesso styles`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from .files import StyleBook
from .texts import Style

app = typer.Typer(
    help="List, add and remove styles.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """List the styles of all files."""
    book = StyleBook.of(ctx.obj)
    if as_json:
        rows = [
            {"name": s.name, "prompt": s.prompt, "negative_prompt": s.negative_prompt, "file": str(s.file)}
            for s in book.styles.values()
        ]
        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
        return
    for style in book.styles.values():
        print(style.name)
        for label, text in (("prompt", style.prompt), ("negative", style.negative_prompt)):
            if text:
                print(f"    {label}: {text}")
    if not book.styles:
        print(f"There are no styles. `gesso styles add NAME --prompt TEXT` puts one into {book.files[0]}.")


@app.command()
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What the style is called.")],
    prompt: Annotated[str, typer.Option(help="Its text; {prompt} stands for what is asked for.")] = "",
    negative: Annotated[str, typer.Option(help="The same for the negative prompt.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite a style of this name.")] = False,
) -> None:
    """Add a style."""
    file = StyleBook.of(ctx.obj).add(Style(name, prompt, negative), replace=replace)
    print(f"{name} is in {file}.")


@app.command()
def remove(ctx: typer.Context, name: Annotated[str, typer.Argument(help="What the style is called.")]) -> None:
    """Remove a style."""
    file = StyleBook.of(ctx.obj).remove(name)
    print(f"{name} is no longer in {file}.")
