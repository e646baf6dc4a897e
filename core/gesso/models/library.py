"""The models a person has: folders scanned, files recognised by header, hashes remembered. Torch-free."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field

from gesso.contributions import ModelFolder
from gesso.errors import BadFileError, GessoError, InvalidInputError, UnknownNameError
from gesso.families import stated_defaults
from gesso.models.cards import Card, read_card
from gesso.models.detect import VAE, Hooks, describe, detect
from gesso.models.folders import INDEX, is_file, is_folder, is_model_folder, read_folder, used_files
from gesso.models.hashing import sha256_of
from gesso.models.headers import PICKLE_SUFFIXES, read_header
from gesso.models.memory import Known, Memory
from gesso.models.modules import lacking
from gesso.types import Frozen, Header, ModelRef

SUFFIXES = (".safetensors", ".gguf")
_TITLE = re.compile(r"(.+?)\s*\[([0-9a-fA-F]{6,64})\]")
WEIGHTS = (*SUFFIXES, *PICKLE_SUFFIXES)
AT_ONCE = 500
"""Newly read headers that are remembered in one transaction, so that a scan that is cut off was not for nothing."""
REMEMBERED = ("family", "variant", "title", "dtype", "defaults", "lacks", "state", "problem")


class Entry(Frozen):
    """One model file. `hash` is the SHA-256 of the whole file, "" until it was computed."""

    name: str
    role: str
    path: Path
    size: int
    modified: int
    hash: str = ""
    family: str = ""
    variant: str = ""
    title: str = ""
    dtype: str = ""
    defaults: dict[str, Any] = Field(default_factory=dict)
    lacks: list[str] = Field(default_factory=list)
    """Text encoders, and "vae", that the checkpoint's family takes from files of their own."""
    state: Literal["ok", "refused"] = "ok"
    problem: str = ""
    built_in: bool = False
    place: str = ""
    """The folder below the one that is scanned, "" for none: "sub/deeper"."""

    @property
    def short_hash(self) -> str:
        """A1111's AutoV2: the first ten hex digits."""
        return self.hash[:10]


class Library:
    """Models by role and name. What was found out about a file is kept in `cache`, with its size and time."""

    def __init__(
        self, hooks: Hooks, cache: Path, folders: Sequence[ModelFolder] | Callable[[], Sequence[ModelFolder]] = ()
    ) -> None:
        """`folders` are a person's own, in the order they are looked through; a function is asked each time."""
        self._hooks, self._memory, self._folders = hooks, Memory(cache), folders
        self._lock = threading.RLock()
        self._entries: list[Entry] | None = None
        self._scanned: list[ModelFolder] = []
        self._index: dict[str, dict[str, Entry]] = {}
        self._index_of: list[Entry] | None = None
        self._strangers: dict[Path, str] = {}

    def entries(self, role: str = "checkpoint", *, rescan: bool = False) -> list[Entry]:
        """All models of a role, built-in ones last, refused files included with their problem."""
        with self._lock:
            return [e for e in self.all_entries(rescan=rescan) if e.role == role]

    def all_entries(self, *, rescan: bool = False) -> list[Entry]:
        """As `entries`, of every role. Folders that came or went since the last look are looked through by themselves;
        new files within them are found by a rescan, or when they are asked for by name."""
        with self._lock:
            folders = self._all_folders()
            if self._entries is None or rescan or folders != self._scanned:
                self._entries, self._scanned = _named_apart(self._scan(folders)), folders
            return list(self._entries)

    def folders(self, role: str) -> list[ModelFolder]:
        """A person's own folders of a role, in the order they are looked through."""
        return [folder for folder in self._all_folders() if folder.role == role and not folder.built_in]

    def _all_folders(self) -> list[ModelFolder]:
        own = self._folders() if callable(self._folders) else self._folders
        return sorted([*own, *self._hooks.registry("model_folders")], key=lambda folder: folder.built_in)

    def find(self, ref: ModelRef | str, role: str = "checkpoint") -> Entry:
        """The model called so: a name, a file name, a title with hash, a hash of at least six digits, or a path.

        What is not among the known ones is looked for again in the folders before it is called unknown.
        """
        if isinstance(ref, ModelRef):
            by_hash = [e for e in self.entries(ref.role) if ref.hash and e.hash == ref.hash]
            return by_hash[0] if by_hash else self.find(ref.name, ref.role)
        entry = self._known_as(ref, role)
        if entry is None and ref and (is_file(Path(ref)) or is_model_folder(Path(ref))):
            return self._stranger(Path(ref).resolve(), role)
        if entry is None:
            self.entries(role, rescan=True)
            entry = self._known_as(ref, role)
        if entry is None and not ref:
            raise InvalidInputError("There is no model.", hint="Put a .safetensors checkpoint into the models folder.")
        if entry is None:
            kind = {"checkpoint": "model", "vae": "VAE"}.get(role, role.replace("_", " "))
            raise UnknownNameError(kind, ref, [e.name for e in self.entries(role) if e.state == "ok"])
        if entry.state != "ok":
            raise BadFileError(entry.problem)
        return entry

    def _known_as(self, ref: str, role: str) -> Entry | None:
        """The first entry of that spelling, else of that hash; the first usable one for no name at all."""
        entries = self.entries(role)
        if not ref:
            return next((e for e in entries if e.state == "ok"), None)
        named = self._by_spelling(role).get(ref.casefold().replace("\\", "/"))
        if named is None and (title := _TITLE.fullmatch(ref)):  # the hash counts for more than the name
            by_hash = next((e for e in entries if e.hash.startswith(title[2].lower())), None)
            return by_hash or self._known_as(title[1], role)
        if named is None and len(ref) >= 6:
            named = next((e for e in entries if e.hash.startswith(ref.lower())), None)
        return named

    def _by_spelling(self, role: str) -> dict[str, Entry]:
        """Entries of a role by everything they answer to; the first that is called so."""
        with self._lock:
            if self._index_of is not self._entries:
                self._index, self._index_of = {}, self._entries
            if role not in self._index:
                entries = reversed(self._entries or ())
                self._index[role] = {name: e for e in entries if e.role == role for name in self._spellings(e)}
            return self._index[role]

    def ref(self, name: str, role: str = "checkpoint", progress: Callable[[int, int], None] | None = None) -> ModelRef:
        """A reference with the content hash, which is computed now when it is not known yet."""
        entry = self.find(name, role)
        # A file outside the folders is only found by its path, in another process too.
        called = str(entry.path) if entry.path in self._strangers else entry.name
        return ModelRef(role=role, name=called, hash=entry.hash or self.hash(entry, progress))

    def hash(
        self, entry: Entry, progress: Callable[[int, int], None] | None = None, *, speed: float = 0.0,
        anew: bool = False,
    ) -> str:  # fmt: skip
        """Compute and remember the SHA-256 of the whole file; of a model folder, of its files one after the other.

        `speed` is the most bytes a second, 0 for as fast as it goes. What another process has computed is taken over,
        unless it is to be computed `anew`.
        """
        value = "" if anew else self._memory.hash_of(entry.path, entry.size, entry.modified)
        value = value or sha256_of(_parts(entry.path), entry.size, progress, speed=speed)
        self.learn(entry, value)
        return value

    def card(self, entry: Entry) -> Card:
        """Preview, description and trigger words that stand beside the file, or in its header."""
        try:
            metadata = self.header(entry.path).metadata if entry.state == "ok" else {}
        except GessoError:
            metadata = {}
        return read_card(entry.path, metadata)

    def learn(self, entry: Entry, value: str) -> None:
        """Remember a file's hash."""
        with self._lock:
            self._memory.put([self._remembered(entry.model_copy(update={"hash": value}))])
            if self._entries is not None:
                self._entries = [
                    e.model_copy(update={"hash": value}) if e.path == entry.path else e for e in self._entries
                ]

    def header(self, path: Path) -> Header:
        """The header of a weight file or model folder, as a plugin reads it, else gesso. BadFileError: nobody can."""
        own, problem = None, None
        try:
            own = read_folder(path) if is_folder(path) else read_header(path)
        except BadFileError as error:
            problem = error
        chosen: Header | None = self._hooks.choose("gesso_choose_header", path=path, header=own)
        if chosen is None and own is None:
            raise problem or BadFileError(f"Cannot read {path}.")
        return cast(Header, chosen or own)

    # --- scanning ---------------------------------------------------------------------------------------------

    def _scan(self, folders: Sequence[ModelFolder]) -> Iterator[Entry]:
        """Every model once; headers are read of those alone that are new or changed, and remembered as it goes on."""
        seen: set[str] = set()
        new: list[Entry] = []
        for folder in folders:
            for path in _files(folder.path, folder.role):
                real = os.path.realpath(path)
                if real in seen:
                    continue
                seen.add(real)
                # A1111's habit: a VAE beside the checkpoint it is for, called after it.
                beside = folder.role == "checkpoint" and path.stem.lower().endswith(".vae")
                role = "vae" if beside else folder.role
                place = path.relative_to(folder.path).parent.as_posix() if path != folder.path else "."
                yield self._entry(path, role, built_in=folder.built_in, place="" if place == "." else place, new=new)
                if len(new) >= AT_ONCE:
                    self._memory.put(map(self._remembered, new))
                    new.clear()
        for path, role in self._strangers.items():
            if os.path.realpath(path) not in seen:
                yield self._entry(path, role, new=new)
        self._memory.put(map(self._remembered, new))

    def _entry(self, path: Path, role: str, *, built_in: bool = False, place: str = "", new: list[Entry]) -> Entry:
        """The entry of a file; one whose header had to be read is added to `new`."""
        folder = is_folder(path)
        base = Entry(
            name=path.name if folder else path.stem, role=role, path=path, size=0, modified=0, built_in=built_in,
            place=place,
        )  # fmt: skip
        try:
            stats = [file.stat() for file in (_parts(path) if folder else [path])]
        except GessoError as error:
            return base.model_copy(update={"state": "refused", "problem": str(error)})
        except OSError as error:
            problem = f"Cannot read {path}: {error.strerror or error}."
            return base.model_copy(update={"state": "refused", "problem": problem})
        size, modified = sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats)
        base = base.model_copy(update={"size": size, "modified": modified})
        known = self._memory.get(path)
        fresh = known and (known.size, known.modified, known.role) == (size, modified, role)
        if known and fresh and known.found.keys() == set(REMEMBERED):  # other names: another version wrote it
            base = base.model_copy(update={"hash": known.hash})
            if known.found["state"] == "ok":  # what was refused may be read now, with another plugin
                return base.model_copy(update=known.found)
        found = self._recognise(base)
        new.append(found)
        return found

    def _recognise(self, entry: Entry) -> Entry:
        try:
            header = self.header(entry.path)
            found: dict[str, Any] = {
                "title": header.metadata.get("modelspec.title", ""),
                "defaults": stated_defaults(header.metadata),
                "dtype": _main_format(header),
            }
            if entry.role == "checkpoint":
                match = detect(header, self._hooks, str(entry.path))
                found |= {"family": match.family, "variant": match.variant}
                found |= {"lacks": lacking(header, match, self._hooks)}
            elif entry.role == "vae" and (kind := describe(header)) != VAE:
                raise BadFileError(f"{entry.path} is {kind}, not a VAE.")
            return entry.model_copy(update=found)
        except GessoError as error:
            return entry.model_copy(update={"state": "refused", "problem": str(error)})

    def _stranger(self, path: Path, role: str) -> Entry:
        """A file outside the folders, given by path."""
        new: list[Entry] = []
        entry = self._entry(path, role, new=new)
        self._memory.put(map(self._remembered, new))
        if entry.state != "ok":
            raise BadFileError(entry.problem)
        with self._lock:
            self._strangers[path] = role
            if self._entries is not None:
                self._entries = _named_apart([*self._entries, entry])
                entry = next((e for e in self._entries if e.path == path), entry)
        return entry

    @staticmethod
    def _spellings(entry: Entry) -> set[str]:
        """Everything a model answers to, A1111's titles among it: name, file, both with folder, path, hash."""
        file, stem = entry.path.name, entry.path.name if entry.path.suffix.lower() not in WEIGHTS else entry.path.stem
        names = {entry.name, file, stem}
        names |= {f"{entry.place}/{name}" for name in (file, stem)} if entry.place else set()
        if entry.hash:
            names |= {f"{name} [{entry.short_hash}]" for name in names} | {entry.hash}
        return {name.casefold() for name in (*names, entry.path.as_posix())}

    @staticmethod
    def _remembered(entry: Entry) -> tuple[Path, Known]:
        found = {key: getattr(entry, key) for key in REMEMBERED}
        return entry.path, Known(entry.size, entry.modified, entry.role, found, entry.hash)


def _named_apart(entries: Iterable[Entry]) -> list[Entry]:
    """Entries whose names are unique within a role: the first keeps its name, others are called by their folder too
    ("sub/name", as A1111 does), or by their path."""
    taken: set[tuple[str, str]] = set()
    apart = []
    for entry in entries:
        longer = f"{entry.place}/{entry.name}" if entry.place else ""
        longer = f"{entry.name} (built in)" if entry.built_in else longer
        for name in (entry.name, longer, str(entry.path)):
            if name and (key := (entry.role, name.casefold())) not in taken:
                taken.add(key)
                apart.append(entry.model_copy(update={"name": name}) if name != entry.name else entry)
                break
    return apart


def _files(folder: Path, role: str) -> Iterator[Path]:
    """Weight files under a folder, links followed; for checkpoints a model folder counts as one."""
    if is_file(folder):
        yield folder
        return
    waiting, seen = [folder], set[str]()
    while waiting:
        current = waiting.pop()
        real = os.path.realpath(current)  # a link may lead back to where it stands
        if real in seen:
            continue
        seen.add(real)
        folders, files = _listed(current)
        if role == "checkpoint" and INDEX in files:
            yield current
            continue
        waiting += [current / name for name in reversed(folders)]
        yield from (current / name for name in files if name.lower().endswith(WEIGHTS))


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    """Names of folders and files, links followed, without regard to case in order."""
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    (folders if entry.is_dir() else files if entry.is_file() else []).append(entry.name)
                except OSError:
                    continue  # a link in a circle
    except OSError:
        pass  # A folder nobody may look into holds no models for this person.
    return sorted(folders, key=str.casefold), sorted(files, key=str.casefold)


def _parts(path: Path) -> list[Path]:
    """The files a model is read from."""
    return used_files(path) if is_folder(path) else [path]


def _main_format(header: Header) -> str:
    """The format that holds most bytes."""
    sizes: dict[str, int] = {}
    for info in header.tensors.values():
        sizes[info.format] = sizes.get(info.format, 0) + info.end - info.start
    return max(sizes, key=lambda k: sizes[k], default="")
