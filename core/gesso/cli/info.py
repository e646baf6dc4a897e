"""`gesso info FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gesso.cli.app import guarded, print_json

PROGRAMS = {
    "a1111": "A1111 or a program that writes like it", "civitai": "Civitai", "comfyui": "ComfyUI", "forge": "Forge",
    "gesso": "gesso", "invokeai": "InvokeAI", "novelai": "NovelAI", "sdnext": "SD.Next", "swarmui": "SwarmUI",
    "fooocus": "Fooocus", "sidecar": "somebody: the text stands beside it",
}  # fmt: skip


def command(
    file: Annotated[Path, typer.Argument(help="A picture.")],
    stealth: Annotated[
        bool, typer.Option("--stealth", help="Where there is no text, look into the pixels' lowest bits.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show what a picture says about how it was made."""
    guarded(_info, as_json, file, as_json, stealth)


def _info(file: Path, as_json: bool, stealth: bool) -> None:
    from gesso.cli.app import load_service
    from gesso.metadata import parse_infotext

    found = load_service().read_picture(file, stealth=stealth)
    text = parse_infotext(found.infotext) if found.infotext else None
    if as_json:
        print_json(
            {
                "file": str(file), "format": found.format, "width": found.width, "height": found.height,
                "source": found.source, "infotext": found.infotext,
                "prompt": text.prompt if text else None,
                "negative_prompt": text.negative_prompt if text else None,
                "params": dict(text.params) if text else {},
            }
        )  # fmt: skip
        return
    by = f", written by {PROGRAMS.get(found.source, found.source)}" if found.source else ""
    print(f"{file}: {found.format} {found.width}x{found.height}{by}")
    print(found.infotext or "The picture says nothing about how it was made.")
