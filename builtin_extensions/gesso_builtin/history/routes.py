"""What the tab asks for, below `/plugins/history`: stretches of the list, small pictures, the trash.

GET pictures, values, pictures/ID, thumb/HASH.webp; POST delete, restore, purge, pictures/ID/open-folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from gesso import BadFileError, FileRef, GessoError, HostService, PictureQuery, StoredPicture, UnknownNameError
from gesso_builtin.history.folder import show_in_folder

T = TypeVar("T")
TITLE = 200
"""Letters of the prompt that come with a small picture."""
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
SCRIPTS = ("tab.js", "grid.js", "viewer.js")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Chosen(BaseModel):
    """Numbers of pictures."""

    ids: list[int] = Field(min_length=1, max_length=10_000)


class Purged(BaseModel):
    """Numbers of pictures; none at all: everything in the trash."""

    ids: list[int] = Field(default=[], max_length=10_000)


class Asked(BaseModel):
    """What the tab asks for, in the query of a URL."""

    q: str = Field("", max_length=2000)
    model: list[str] = []
    sampler: list[str] = []
    size: list[str] = []
    """Like 512x768."""
    since: float | None = None
    until: float | None = None
    trash: bool = False
    offset: int = Field(0, ge=0)
    limit: int = Field(100, ge=0, le=1000)

    def query(self) -> PictureQuery:
        sizes = [text.partition("x") for text in self.size]
        return PictureQuery(
            text=self.q, models=tuple(self.model), samplers=tuple(self.sampler), since=self.since, until=self.until,
            sizes=tuple((int(w), int(h)) for w, _, h in sizes if w.isdecimal() and h.isdecimal()), trash=self.trash,
        )  # fmt: skip


def build(service: HostService) -> APIRouter:
    """The routes of a started service."""
    router = APIRouter()
    history = service.history

    @router.get("/pictures")
    def pictures(asked: Annotated[Asked, Query()]) -> dict[str, Any]:
        page = history.search(asked.query(), offset=asked.offset, limit=asked.limit)
        newest = history.search(PictureQuery(trash=asked.trash), limit=1).pictures
        stamp = f"{page.total}-{newest[0].id if newest else 0}"
        return {"total": page.total, "stamp": stamp, "pictures": [listed(one) for one in page.pictures]}

    @router.get("/values")
    def values(trash: bool = False) -> dict[str, list[dict[str, Any]]]:
        return labelled(service, history.values(trash=trash))

    @router.get("/pictures/{picture}")
    def one(picture: int) -> dict[str, Any]:
        return whole(answered(lambda: history.get(picture)))

    @router.get("/thumb/{sha256}.webp")
    def thumb(sha256: Sha256) -> FileResponse:
        path = service.queue.store.files.path(FileRef(sha256=sha256))
        return FileResponse(answered(lambda: service.thumbnails.of(path)), media_type="image/webp", headers=FOREVER)

    @router.post("/delete")
    def delete(chosen: Chosen) -> dict[str, list[int]]:
        return {"deleted": [found.id for found in answered(lambda: history.delete(chosen.ids))]}

    @router.post("/restore")
    def restore(chosen: Chosen) -> dict[str, list[int]]:
        return {"restored": [found.id for found in answered(lambda: history.restore(chosen.ids))]}

    @router.post("/purge")
    def purge(chosen: Purged) -> dict[str, int]:
        return {"purged": answered(lambda: history.purge(chosen.ids or None))}

    @router.post("/pictures/{picture}/open-folder")
    def open_folder(picture: int) -> dict[str, str]:
        return {"folder": answered(lambda: show_in_folder(history.get(picture)))}

    @router.get("/{name}")
    def script(name: str) -> FileResponse:
        if name not in SCRIPTS:
            raise HTTPException(404, "There is no such file.")
        headers = {"Cache-Control": "no-cache"}  # asked for each time, answered with 304: an update shows at once
        return FileResponse(Path(__file__).with_name(name), media_type="text/javascript", headers=headers)

    return router


def answered(function: Callable[[], T]) -> T:
    """What the function returns; its errors for people as an answer the page shows."""
    try:
        return function()
    except GessoError as error:
        status = 404 if isinstance(error, UnknownNameError | BadFileError) else 409
        raise HTTPException(status, str(error)) from None


def labelled(service: HostService, values: dict[str, list[tuple[Any, int]]]) -> dict[str, list[dict[str, Any]]]:
    """What there is to filter by, in people's words: {"model": [{"value", "label", "count"}] …}."""
    samplers = service.host.registry("samplers")

    def label(kind: str, value: Any) -> tuple[str, str]:
        if kind == "size":
            return f"{value[0]}x{value[1]}", f"{value[0]} × {value[1]}"
        known = samplers.find(value) if kind == "sampler" else None
        return value, known.label if known else value or "–"

    return {
        kind: [
            dict(zip(("value", "label", "count"), (*label(kind, value), count), strict=True)) for value, count in rows
        ]
        for kind, rows in values.items()
    }


def listed(picture: StoredPicture) -> dict[str, Any]:
    """A picture as the list has it."""
    title = picture.infotext.partition("\n")[0]
    return {
        "id": picture.id, "sha256": picture.file.sha256, "width": picture.width, "height": picture.height,
        "made": picture.created, "kind": picture.kind, "title": title[:TITLE],
        "name": Path(picture.path).name or f"{picture.file.sha256[:12]}{suffix(picture)}", "suffix": suffix(picture),
    }  # fmt: skip


def whole(picture: StoredPicture) -> dict[str, Any]:
    """Everything that is known of a picture."""
    return {
        **listed(picture), "file": picture.file.model_dump(), "job": picture.job, "model": picture.model,
        "sampler": picture.sampler, "path": picture.path, "trashed": picture.trashed, "infotext": picture.infotext,
        "seed": str(picture.meta.get("seed", "")),
    }  # fmt: skip


def suffix(picture: StoredPicture) -> str:
    """Of the stored file's name under /gesso/file."""
    return {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}.get(picture.file.type, "")
