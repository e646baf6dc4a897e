"""`gesso history`: the pictures that were made. It works beside a page that runs, and without one."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.cli.app import guarded, load_service, print_json, print_table
from gesso.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gesso.store.history import History, PicturePage, PictureQuery, StoredPicture

app = typer.Typer(
    help="List, search, delete and restore the pictures that were made.", no_args_is_help=True, rich_markup_mode=None
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Pictures = Annotated[list[int], typer.Argument(help="Numbers as in the list.")]
Model = Annotated[list[str] | None, typer.Option("--model", help="Made with this model; repeat for several.")]
Sampler = Annotated[list[str] | None, typer.Option("--sampler", help="Made with this sampler.")]
Size = Annotated[list[str] | None, typer.Option("--size", help="Of this size, as 1024x768.")]
Since = Annotated[str, typer.Option(help="Made then or later, as 2026-03-01 or 2026-03-01T12:00.")]
Until = Annotated[str, typer.Option(help="Made before the end of this day, or before this time.")]
Trash = Annotated[bool, typer.Option("--trash", help="Look in the trash instead.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="So many at most.")]
Offset = Annotated[int, typer.Option(min=0, help="Leave out so many of the newest.")]


@app.command("list")
def list_(trash: Trash = False, limit: Limit = 20, offset: Offset = 0, as_json: Json = False) -> None:
    """List pictures, the newest first."""
    guarded(_search, as_json, {"trash": trash}, limit, offset, as_json)


@app.command()
def search(
    words: Annotated[list[str] | None, typer.Argument(help='Words of the prompt; "two words" together, -word.')] = None,
    model: Model = None,
    sampler: Sampler = None,
    size: Size = None,
    since: Since = "",
    until: Until = "",
    trash: Trash = False,
    limit: Limit = 20,
    offset: Offset = 0,
    as_json: Json = False,
) -> None:
    """Find pictures by the words of their prompt, model, sampler, size and date. (Put `--` before a -word.)"""
    asked = {
        "text": " ".join(_quoted(word) for word in words or []), "models": tuple(model or ()),
        "samplers": tuple(sampler or ()), "sizes": size or (), "since": since, "until": until, "trash": trash,
    }  # fmt: skip
    guarded(_search, as_json, asked, limit, offset, as_json)


@app.command()
def show(picture: Annotated[int, typer.Argument(help="Its number.")], as_json: Json = False) -> None:
    """Show a picture: its file, size, date, and how it was made."""
    guarded(_with_history, as_json, lambda history: _show(history.get(picture), as_json))


@app.command()
def delete(pictures: Pictures, as_json: Json = False) -> None:
    """Put pictures into the trash, and their files with them."""
    guarded(_with_history, as_json, lambda history: _told("deleted", history.delete(pictures), as_json))


@app.command()
def restore(pictures: Pictures, as_json: Json = False) -> None:
    """Bring pictures back from the trash."""
    guarded(_with_history, as_json, lambda history: _told("restored", history.restore(pictures), as_json))


@app.command()
def purge(
    pictures: Annotated[list[int] | None, typer.Argument(help="Numbers as in `list --trash`.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is in the trash.")] = False,
    as_json: Json = False,
) -> None:
    """Delete pictures of the trash for good. This cannot be undone."""
    guarded(_with_history, as_json, lambda history: _purge(history, pictures or [], everything, as_json))


def _with_history(work: Callable[[History], None]) -> None:
    service = load_service()
    try:
        work(service.history)
    finally:
        service.close()


def _search(asked: dict[str, Any], limit: int, offset: int, as_json: bool) -> None:
    query = _query(asked)
    _with_history(lambda history: _print(history.search(query, offset=offset, limit=limit), offset, as_json))


def _query(asked: dict[str, Any]) -> PictureQuery:
    from gesso.store.history import PictureQuery

    sizes = tuple(_size(text) for text in asked.get("sizes", ()))
    since, until = (_time(asked.get(name, ""), end=name == "until") for name in ("since", "until"))
    return PictureQuery(**{**asked, "sizes": sizes, "since": since, "until": until})


def _quoted(word: str) -> str:
    """A shell takes the quotation marks away; what has a space in it was meant together."""
    return f'-"{word[1:]}"' if word.startswith("-") and " " in word else f'"{word}"' if " " in word else word


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InvalidInputError(f"{text!r} is no size.", hint="Write it as 1024x768.")
    return int(width), int(height)


def _time(text: str, *, end: bool) -> float | None:
    """Local time; a day alone is its beginning, or its end."""
    if not text:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(f"{text!r} is no date.", hint="Write it as 2026-03-01, or 2026-03-01T12:00.") from None
    if end and len(text) <= len("2026-03-01"):
        found += dt.timedelta(days=1)
    return found.astimezone().timestamp()


def _data(picture: StoredPicture) -> dict[str, Any]:
    return {
        "id": picture.id, "job": picture.job, "kind": picture.kind, "path": picture.path, "width": picture.width,
        "height": picture.height, "model": picture.model, "sampler": picture.sampler, "created": picture.created,
        "trashed": picture.trashed, "seed": picture.meta.get("seed"), "sha256": picture.file.sha256,
        "type": picture.file.type, "infotext": picture.infotext,
    }  # fmt: skip


def _print(page: PicturePage, offset: int, as_json: bool) -> None:
    if as_json:
        print_json({"total": page.total, "offset": offset, "pictures": [_data(one) for one in page.pictures]})
        return
    rows = [
        [one.id, _when(one.created), f"{one.width}x{one.height}", one.model, one.sampler, _short(one.infotext)]
        for one in page.pictures
    ]
    print_table(["number", "made", "size", "model", "sampler", "prompt"], rows, "No picture was found.")
    if (last := offset + len(rows)) < page.total:
        print(f"{page.total - last} more: --offset {last}")


def _short(infotext: str) -> str:
    line = infotext.partition("\n")[0]
    return line if len(line) <= 60 else f"{line[:59]}…"


def _when(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def _show(picture: StoredPicture, as_json: bool) -> None:
    if as_json:
        print_json(_data(picture))
        return
    about = {
        "file": picture.path, "stored as": picture.file.sha256, "size": f"{picture.width}x{picture.height}",
        "made": _when(picture.created), "job": picture.job,
        "in the trash since": _when(picture.trashed) if picture.trashed else "",
    }  # fmt: skip
    print(f"picture {picture.id}")
    for label, value in about.items():
        if value:
            print(f"  {label + ':':20}{value}")
    print(f"\n{picture.infotext or 'It does not say how it was made.'}")


def _told(what: str, pictures: list[StoredPicture], as_json: bool) -> None:
    if as_json:
        print_json({what: [one.id for one in pictures], "files": [one.path for one in pictures if one.path]})
        return
    print(f"{len(pictures)} {what}.")
    if what == "deleted" and pictures:
        print(f"Bring back: gesso history restore {' '.join(str(one.id) for one in pictures)}")


def _purge(history: History, pictures: list[int], everything: bool, as_json: bool) -> None:
    if bool(pictures) == everything:
        raise InvalidInputError("Say which pictures to delete for good: their numbers, or --all.")
    count = history.purge(pictures or None)
    print_json({"purged": count}) if as_json else print(f"{count} deleted for good.")
