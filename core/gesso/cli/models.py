"""`gesso models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gesso.cli.app import guarded, load_service, print_json, print_table

if TYPE_CHECKING:
    from gesso.models.mounts import Mount
    from gesso.service import Service

app = typer.Typer(help="List and scan models.", no_args_is_help=True, rich_markup_mode=None)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Role = Annotated[str, typer.Option(help="checkpoint, vae, lora, …")]


@app.command("list")
def list_(role: Role = "checkpoint", as_json: Json = False) -> None:
    """List the models that were found."""
    guarded(_list, as_json, role, as_json, rescan=False, hashes=False)


@app.command()
def scan(
    role: Role = "checkpoint",
    hashes: Annotated[bool, typer.Option("--hashes", help="Also compute missing hashes.")] = False,
    as_json: Json = False,
) -> None:
    """Look through the model folders again."""
    guarded(_list, as_json, role, as_json, rescan=True, hashes=hashes)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name, file or hash of a model.")],
    role: Role = "checkpoint",
    as_json: Json = False,
) -> None:
    """Show a model: its file, what it is, what its sidecars say."""
    guarded(_show, as_json, name, role, as_json)


mounts = typer.Typer(help="Models that lie elsewhere.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(mounts, name="mounts")


@mounts.command("list")
def list_mounts(as_json: Json = False) -> None:
    """List the places that are mounted, and what is wrong with them."""
    guarded(_mounts, as_json, as_json)


@mounts.command("add")
def add_mount(
    path: Annotated[
        str, typer.Argument(help="Folder of A1111, Forge, SD.Next, ComfyUI or SwarmUI, or an extra_model_paths.yaml.")
    ],
    role: Annotated[str, typer.Option(help="The folder holds this kind: checkpoint, lora, vae, …")] = "",
    as_json: Json = False,
) -> None:
    """Use the models of a place where they lie; nothing is copied. A gesso that runs sees them at once."""
    guarded(_add, as_json, path, role, as_json)


@mounts.command("remove")
def remove_mount(path: Annotated[str, typer.Argument(help="As in the list.")], as_json: Json = False) -> None:
    """Forget a place. No file is touched."""
    guarded(_remove, as_json, path, as_json)


def _add(path: str, role: str, as_json: bool) -> None:
    service = load_service()
    added = service.mounts.add(path, role)
    _print_mounts(service, [added], as_json)


def _remove(path: str, as_json: bool) -> None:
    service = load_service()
    service.mounts.remove(path)
    _print_mounts(service, service.mounts.all(), as_json)


def _mounts(as_json: bool) -> None:
    service = load_service()
    _print_mounts(service, service.mounts.all(), as_json)


def _print_mounts(service: Service, places: list[Mount], as_json: bool) -> None:
    entries = service.library.all_entries()
    counts = {
        folder.path: sum(e.role == folder.role and e.path.is_relative_to(folder.path) for e in entries)
        for mount in places
        for folder in mount.folders
    }
    if as_json:
        print_json(
            [
                {
                    "mount": mount.text, "layout": mount.layout, "problems": mount.problems,
                    "folders": [{"role": f.role, "path": f.path, "models": counts[f.path]} for f in mount.folders],
                }
                for mount in places
            ]
        )  # fmt: skip
        return
    rows = [[f.role, counts[f.path], f.path, mount.layout] for mount in places for f in mount.folders]
    print_table(["kind", "models", "folder", "layout"], rows, "Nothing is mounted: gesso models mounts add FOLDER")
    for mount in places:
        for problem in mount.problems:
            print(f"warning: {problem}")


def _show(name: str, role: str, as_json: bool) -> None:
    service = load_service()
    entry = service.library.find(name, role)
    card = service.library.card(entry)
    if as_json:
        print_json({**entry.model_dump(mode="json"), "short_hash": entry.short_hash, **card.model_dump(mode="json")})
        return
    about = {
        "file": entry.path, "kind": entry.role, "family": f"{entry.family} {entry.variant}".strip(),
        "size": f"{entry.size / 1e6:,.0f} MB", "dtype": entry.dtype, "AutoV2": entry.short_hash, "sha256": entry.hash,
        "base model": card.base_model, "trigger words": ", ".join(card.trigger_words),
        "negative words": card.negative_words, "weight": card.preferred_weight, "preview": card.preview,
    }  # fmt: skip
    print(entry.title or entry.name)
    for label, value in about.items():
        if value:
            print(f"  {label + ':':16}{value}")
    for text in (card.description, card.notes):
        if text:
            print(f"\n{text}")


def _list(role: str, as_json: bool, *, rescan: bool, hashes: bool) -> None:
    service = load_service()
    entries = service.library.entries(role, rescan=rescan)
    if hashes:
        from gesso.cli.generate import Bar

        with Bar() as bar:
            for entry in entries:
                if entry.state == "ok" and not entry.hash:
                    service.library.hash(entry, lambda done, total: bar.show("hash", done, total))
        entries = service.library.entries(role)
    if as_json:
        print_json([{**e.model_dump(mode="json"), "short_hash": e.short_hash} for e in entries])
        return
    rows = [
        [e.name, e.family or "-", e.dtype or "-", f"{e.size / 1e6:,.0f} MB", e.short_hash or "-", e.path]
        for e in entries
        if e.state == "ok"
    ]
    print_table(["name", "family", "dtype", "size", "hash", "file"], rows, f"No {role} models were found.")
    for entry in entries:
        if entry.state != "ok":
            print(f"refused: {entry.problem}")
    for problem in service.mounts.problems():
        print(f"warning: {problem}")
    folders = ", ".join(str(folder.path) for folder in service.library.folders(role))
    print(f"Put your own into {folders}, or use them where they lie: gesso models mounts add FOLDER")
