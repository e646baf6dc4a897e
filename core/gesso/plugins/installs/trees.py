"""Complete copies of distributions' files, and exchanging one set for another.

A tree is one distribution's files by their paths below the environment's folder (`sys.prefix`), scripts included and
bytecode left out. It is written whole and never changed, so it can be put back at any time.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gesso.files import write_whole
from gesso.plugins.installs.environment import Dist, raw
from gesso.plugins.installs.errors import InstallError

MANIFEST = "tree.json"
DROPPED = ("direct_url.json",)
"""Names the temporary file a wheel was built into; where a plugin came from stands in the journal."""


@dataclass(frozen=True)
class Tree:
    """One distribution's files. `id` names its folder in the store and changes with any byte."""

    id: str
    name: str
    version: str
    files: tuple[str, ...]
    size: int
    """In bytes."""


class TreeStore:
    """The trees under one folder."""

    def __init__(self, folder: Path, prefix: Path) -> None:
        self.folder, self.prefix = folder, prefix

    def get(self, id_: str) -> Tree:
        """A tree by its id; InstallError when it is not kept any more."""
        try:
            data = json.loads((self.folder / id_ / MANIFEST).read_bytes())
            return Tree(id_, data["name"], data["version"], tuple(data["files"]), data["size"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InstallError(f"The files of {id_} are not kept any more, so this cannot be taken back.") from None

    def path(self, tree: Tree, file: str) -> Path:
        return self.folder / tree.id / "files" / file

    def holds(self, dist: Dist) -> bool:
        """Whether an installed distribution lies in this environment, and not in one below it."""
        return dist.site is not None and _is_below(dist.site, self.prefix)

    def keep_installed(self, dist: Dist) -> Tree:
        """Copy an installed distribution. InstallError for one that pip did not install into this environment."""
        if not self.holds(dist):
            raise InstallError(
                f"{dist} lies in {dist.site}, outside this environment ({self.prefix}), and is not changed from here."
            )
        return self._keep(dist, list(_files(dist, self.prefix)))

    def keep_staged(self, dist: Dist, stage: Path, *, requested: bool) -> Tree:
        """Move a distribution out of the folder pip has unpacked it into. `requested`: it was asked for by name."""
        _tidy(dist, dropped=DROPPED if requested else (*DROPPED, "REQUESTED"))
        return self._keep(dist, list(_files(dist, stage)))

    def _keep(self, dist: Dist, files: Sequence[tuple[str, Path]]) -> Tree:
        self.folder.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self.folder) as name:
            for relative, source in sorted(files):
                target = Path(name, "files", relative)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                shutil.copymode(source, target)
                with target.open("rb+") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
                    os.fsync(file.fileno())
                size += target.stat().st_size
                digest.update(f"{relative}\0{content}\0".encode())
            tree = Tree(
                f"{dist.name}-{dist.version}-{digest.hexdigest()[:12]}", dist.name, dist.version,
                tuple(sorted(relative for relative, _ in files)), size,
            )  # fmt: skip
            about = {"name": tree.name, "version": tree.version, "files": tree.files, "size": tree.size}
            write_whole(Path(name, MANIFEST), json.dumps(about, indent=1))
            with contextlib.suppress(OSError):  # the same content is kept already
                Path(name).rename(self.folder / tree.id)
        return self.get(tree.id)

    def prune(self, wanted: Iterable[str]) -> None:
        """Remove all trees but these, and what a killed process left."""
        kept = set(wanted)
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    # --- exchanging -----------------------------------------------------------------------------------------------

    def exchange(self, old: Sequence[Tree], new: Sequence[Tree]) -> None:
        """Take the files of `old` out of the environment and put those of `new` in.

        May be repeated after it was cut short, in either direction. While a distribution's files are incomplete its
        metadata is not there, so nobody takes it for installed.
        """
        staying = {file for tree in new for file in tree.files}
        for tree in old:
            for file in sorted(tree.files, key=_is_metadata, reverse=True):
                if file not in staying or _is_metadata(file):
                    self._remove(file)
        for tree in new:
            for file in sorted(tree.files, key=_is_metadata):
                self._put(tree, file)

    def _remove(self, file: str) -> None:
        path = self.prefix / file
        path.unlink(missing_ok=True)
        _temporary(path).unlink(missing_ok=True)  # of a copy that was cut short
        _forget_bytecode(path)
        staying = {self.prefix, *self.prefix.iterdir(), *map(Path, sites(self.prefix))}
        for folder in path.parents:
            if folder in staying or any(_entries(folder)):
                break
            shutil.rmtree(folder, ignore_errors=True)

    def _put(self, tree: Tree, file: str) -> None:
        source, path = self.path(tree, file), self.prefix / file
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        shutil.copyfile(source, temporary)
        shutil.copymode(source, temporary)
        temporary.replace(path)
        _forget_bytecode(path)


def _temporary(path: Path) -> Path:
    """Where a file is copied before it takes its place."""
    return path.with_name(f".{path.name[:100]}.gesso-new")


def _entries(folder: Path) -> Iterator[str]:
    """What keeps a folder: all but its bytecode cache."""
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return (name for name in names if name != "__pycache__")


def _is_metadata(file: str) -> bool:
    return ".dist-info/" in file


def _forget_bytecode(path: Path) -> None:
    """Python compares bytecode with whole seconds and sizes: a file exchanged for another may look unchanged."""
    if path.suffix == ".py":
        for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            cached.unlink(missing_ok=True)


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _files(dist: Dist, root: Path) -> Iterator[tuple[str, Path]]:
    """(path below `root`, where it is) of every file its RECORD lists and that is there."""
    listed = raw(dist).files
    if listed is None:
        raise InstallError(f"{dist} has no list of its files: pip did not install it, and it is not changed from here.")
    base = os.path.realpath(root)
    for entry in listed:
        path = Path(os.path.realpath(str(entry.locate().parent)), entry.name)  # type: ignore[attr-defined]
        if path.suffix == ".pyc" and path.parent.name == "__pycache__":
            continue
        if not path.is_relative_to(base):
            raise InstallError(f"{dist} has a file outside this environment ({path}) and is not changed from here.")
        if path.is_file():
            yield PurePosixPath(path.relative_to(base)).as_posix(), path


def _tidy(dist: Dist, *, dropped: Sequence[str]) -> None:
    """Remove files from a staged distribution's metadata, and from its RECORD."""
    files = raw(dist).files or []
    record = next(entry for entry in files if entry.name == "RECORD" and _is_metadata(entry.as_posix()))
    folder = Path(str(record.locate())).parent
    for name in dropped:
        (folder / name).unlink(missing_ok=True)
    text = (folder / "RECORD").read_text(encoding="utf-8")
    gone = {f"{folder.name}/{name}" for name in dropped}
    kept = [row for row in csv.reader(io.StringIO(text)) if row and row[0] not in gone]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(kept)
    (folder / "RECORD").write_text(out.getvalue(), encoding="utf-8")


def sites(prefix: Path) -> list[str]:
    """Where an environment at `prefix` has its distributions: this Python's layout, moved there."""
    import sysconfig

    paths = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    return list(dict.fromkeys(str(prefix / os.path.relpath(path, sys.prefix)) for path in paths))
