"""The history: every picture that was made, newest first; searched, put into the trash, brought back.

The trash is a mark in the database. The file for people is in `GESSO_HOME/trash/<number>/` meanwhile: gone from where
people look, and back after a restore. The move comes first: a crash in between leaves the picture in the history and
its file in the trash folder, and a second try makes both agree.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from gesso.errors import InvalidInputError, UnknownNameError
from gesso.metadata.infotext import parse_infotext
from gesso.store.errors import from_file
from gesso.store.schema import ArtifactRow, PictureRow
from gesso.store.store import Store
from gesso.types import ArtifactKind, FileRef, Job

PICTURES = ("image", "grid")
"""Kinds of artifacts that are in the history."""
MOST = 1000
"""Pictures in one answer."""
CHUNK = 500
_WORD = re.compile(r'(-?)"([^"]+)"|(-?)(\S+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureQuery:
    """What is looked for; an empty one finds everything. Several values of a filter mean any of them."""

    text: str = ""
    """Words that are all in the prompt, in any order and case; "two words" together, -word for none of them."""
    models: tuple[str, ...] = ()
    samplers: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    """Width, height."""
    since: float | None = None
    """Seconds since 1970, included."""
    until: float | None = None
    """Not included."""
    trash: bool = False
    """Look in the trash instead."""


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture of the history."""

    id: int
    job: str
    kind: ArtifactKind
    file: FileRef
    width: int
    height: int
    model: str
    sampler: str
    created: float
    path: str
    """The file for people; "" before it has a name."""
    trashed: float | None
    """When it was put into the trash."""
    meta: dict[str, Any]
    """As in the artifact: seed, infotext, what plugins add."""

    @property
    def infotext(self) -> str:
        return str(self.meta.get("infotext") or "")


@dataclass(frozen=True, slots=True)
class PicturePage:
    """A stretch of what was found, newest first; `total` is the number of all."""

    total: int
    pictures: list[StoredPicture]


def picture_row(artifact: ArtifactRow, job: Job) -> PictureRow:
    """The history's row for an artifact that has its number."""
    meta, request = artifact.meta, job.request
    infotext = str(meta.get("infotext") or "")
    prompt = parse_infotext(infotext).prompt if infotext else request.prompt
    return PictureRow(
        artifact=artifact.id, prompt=_folded(prompt), model=job.model.name if job.model else "",
        sampler=request.sampler, width=int(meta.get("width") or request.width),
        height=int(meta.get("height") or request.height), created=artifact.created,
    )  # fmt: skip


class History:
    """The pictures of a store. Safe from any thread and from several processes."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def folder(self) -> Path:
        """Where files for people are while their pictures are in the trash."""
        return self.store.home / "trash"

    # --- looking ----------------------------------------------------------------------------------------------

    def search(self, query: PictureQuery | None = None, *, offset: int = 0, limit: int = 100) -> PicturePage:
        """Pictures number `offset` and following of those the query finds, newest first; 1000 at most."""
        conditions = _conditions(query or PictureQuery())
        found = (
            select(ArtifactRow, PictureRow).join(PictureRow, PictureRow.artifact == ArtifactRow.id).where(*conditions)
            .order_by(PictureRow.created.desc(), PictureRow.artifact.desc())
            .offset(max(0, offset)).limit(max(0, min(limit, MOST)))
        )  # fmt: skip

        def work(session: Session) -> PicturePage:
            total = session.scalar(select(func.count()).select_from(PictureRow).where(*conditions)) or 0
            return PicturePage(total, [_picture(*row) for row in session.execute(found)] if limit > 0 else [])

        return self.store.database.read(work)

    def get(self, picture: int) -> StoredPicture:
        """One picture, in the trash or not. UnknownNameError: there is none of that number."""
        return self._known([picture])[0]

    def values(self, *, trash: bool = False) -> dict[str, list[tuple[Any, int]]]:
        """What there is to filter by: "model", "sampler" and "size" (width, height), each with the number of pictures,
        the most frequent first."""
        columns: dict[str, tuple[Any, ...]] = {
            "model": (PictureRow.model,), "sampler": (PictureRow.sampler,),
            "size": (PictureRow.width, PictureRow.height),
        }  # fmt: skip
        count = func.count()

        def work(session: Session) -> dict[str, list[tuple[Any, int]]]:
            found = {}
            for name, by in columns.items():
                query = select(*by, count).where(_in_trash(trash)).group_by(*by).order_by(count.desc(), *by)
                rows: list[tuple[Any, ...]] = [tuple(row) for row in session.execute(query)]
                found[name] = [(row[0] if len(by) == 1 else row[:-1], row[-1]) for row in rows]
            return found

        return self.store.database.read(work)

    def _known(self, pictures: Sequence[int]) -> list[StoredPicture]:
        """The pictures of these numbers, in order; UnknownNameError when one is none."""
        found: dict[int, StoredPicture] = {}

        def work(session: Session) -> None:
            for part in _chunks(pictures):
                query = select(ArtifactRow, PictureRow).join(PictureRow, PictureRow.artifact == ArtifactRow.id)
                found.update(
                    {row[0].id: _picture(*row) for row in session.execute(query.where(ArtifactRow.id.in_(part)))}
                )

        self.store.database.read(work)
        for picture in pictures:
            if picture not in found:
                raise UnknownNameError("picture", str(picture), [])
        return [found[picture] for picture in dict.fromkeys(pictures)]

    # --- the trash --------------------------------------------------------------------------------------------

    def delete(self, pictures: Sequence[int]) -> list[StoredPicture]:
        """Put pictures into the trash, their files for people too; those that are there already stay. All or none.

        UnknownNameError: there is none of that number. StorageError: a file cannot be moved; nothing was changed.
        """
        found = [one for one in self._known(pictures) if one.trashed is None]
        with self._undone_together() as moved:
            for one in found:
                if one.path and _is_file(Path(one.path), one.file):
                    _move_with_text(Path(one.path), self.folder / str(one.id) / Path(one.path).name, moved)
            self._mark([one.id for one in found], time.time())
        return found

    def restore(self, pictures: Sequence[int]) -> list[StoredPicture]:
        """Bring pictures back from the trash, their files too: under a free name where theirs was taken meanwhile."""
        found = [one for one in self._known(pictures) if one.trashed is not None]
        paths: dict[int, str] = {}
        with self._undone_together() as moved:
            for one in found:
                place = self.folder / str(one.id) / Path(one.path).name
                if one.path and place.is_file():
                    target = _free(Path(one.path))
                    paths[one.id] = str(target)
                    _move_with_text(place, target, moved)
            self._mark([one.id for one in found], None, paths)
        for one in found:
            shutil.rmtree(self.folder / str(one.id), ignore_errors=True)
        return [self.get(one.id) for one in found]

    def purge(self, pictures: Sequence[int] | None = None, *, before: float | None = None) -> int:
        """Delete pictures of the trash for good: these, or all that came there `before` a time, or all. How many.

        InvalidInputError: one of them is not in the trash.
        """
        if pictures is not None and (outside := [one for one in self._known(pictures) if one.trashed is None]):
            text = f"The picture {outside[0].id} is not in the trash."
            raise InvalidInputError(text, hint="Only what is in the trash can be deleted for good.")

        def work(session: Session) -> list[int]:
            query = select(PictureRow.artifact).where(PictureRow.trashed.is_not(None))
            if before is not None:
                query = query.where(PictureRow.trashed < before)
            wanted = list(session.scalars(query)) if pictures is None else list(dict.fromkeys(pictures))
            for part in _chunks(wanted):
                gone = delete(ArtifactRow).where(ArtifactRow.id.in_(part)).returning(ArtifactRow.sha256)
                self.store.files.release(session, session.scalars(gone).all())
            return wanted

        numbers = self.store.database.write(work)
        for number in numbers:
            shutil.rmtree(self.folder / str(number), ignore_errors=True)
        return len(numbers)

    def _mark(self, pictures: Sequence[int], when: float | None, paths: dict[int, str] | None = None) -> None:
        def work(session: Session) -> None:
            for part in _chunks(pictures):
                session.execute(update(PictureRow).where(PictureRow.artifact.in_(part)).values(trashed=when))
            for picture, path in (paths or {}).items():
                session.execute(update(ArtifactRow).where(ArtifactRow.id == picture).values(path=path))

        self.store.database.write(work)

    @contextlib.contextmanager
    def _undone_together(self) -> Iterator[list[tuple[Path, Path]]]:
        """Files moved within (from, to) go back when something fails."""
        moved: list[tuple[Path, Path]] = []
        try:
            yield moved
        except BaseException as error:
            for source, target in reversed(moved):
                with contextlib.suppress(OSError):
                    shutil.move(target, source)
            if isinstance(error, OSError):
                raise from_file(error, Path(error.filename or self.folder)) from error
            raise


def _conditions(query: PictureQuery) -> list[ColumnElement[bool]]:
    found = [_in_trash(query.trash)]
    for minus, phrase, minus_too, word in _WORD.findall(query.text):
        has = PictureRow.prompt.contains(_folded(phrase or word), autoescape=True)
        found.append(~has if minus or minus_too else has)
    if query.models:
        found.append(PictureRow.model.in_(query.models))
    if query.samplers:
        found.append(PictureRow.sampler.in_(query.samplers))
    if query.sizes:
        found.append(
            or_(*(and_(PictureRow.width == width, PictureRow.height == height) for width, height in query.sizes))
        )
    if query.since is not None:
        found.append(PictureRow.created >= query.since)
    if query.until is not None:
        found.append(PictureRow.created < query.until)
    return found


def _in_trash(wanted: bool) -> ColumnElement[bool]:
    return PictureRow.trashed.is_not(None) if wanted else PictureRow.trashed.is_(None)


def _picture(artifact: ArtifactRow, row: PictureRow) -> StoredPicture:
    return StoredPicture(
        id=artifact.id, job=artifact.job, kind=cast(Any, artifact.kind),
        file=FileRef(sha256=artifact.sha256, type=artifact.type), width=row.width, height=row.height, model=row.model,
        sampler=row.sampler, created=row.created, path=artifact.path, trashed=row.trashed, meta=artifact.meta,
    )  # fmt: skip


def _folded(text: str) -> str:
    """As prompts are compared: without regard to case and to the kind of white space. PostgreSQL takes no NUL."""
    return " ".join(text.casefold().replace("\0", " ").split())


def _chunks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), CHUNK):
        yield numbers[start : start + CHUNK]


def _is_file(path: Path, ref: FileRef) -> bool:
    """Whether a file is the stored one. Another may have its name by now: people move files, and numbers begin anew."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == ref.sha256
    except OSError:
        return False


def _move_with_text(source: Path, target: Path, moved: list[tuple[Path, Path]]) -> None:
    """Move a picture, and the text beside it where there is one; what was moved is added to `moved`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (source.suffix, ".txt"):
        one, there = source.with_suffix(suffix), target.with_suffix(suffix)
        if one.is_file():
            shutil.move(one, there)
            moved.append((one, there))


def _free(path: Path) -> Path:
    """The path, or one beside it that nothing has: name-1.png."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(1))
    return next(one for one in itertools.chain([path], numbered) if not os.path.lexists(one))
