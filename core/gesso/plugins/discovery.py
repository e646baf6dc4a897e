"""Which plugins are installed: the entry points of the group `gesso`, read without importing any of them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import gesso
from gesso.errors import InvalidInputError
from gesso.plugins.installs.journal import settle

GROUP = "gesso"
BUILT_IN = "gesso"
"""The distribution whose plugins count as built-ins, and the word that stands for all of them."""
LOCAL = "local"
"""The distribution name of plugins found in `--plugins-dir`."""

log = logging.getLogger("gesso.plugins")


@dataclass(frozen=True)
class Entry:
    """One entry point. `error` is set when its metadata cannot be read; such a plugin is shown and not loaded."""

    name: str
    dist: str
    version: str = ""
    value: str = ""
    """`package.module` or `package.module:object`."""
    fingerprint: str = ""
    folder: str = ""
    """A local plugin's folder, which joins sys.path."""
    hint: str = ""
    error: str = ""

    @property
    def id(self) -> str:
        """`dist:name`, which is unique: two distributions may use the same entry-point name."""
        return f"{self.dist}:{self.name}"

    @property
    def built_in(self) -> bool:
        return self.dist == BUILT_IN

    @property
    def package(self) -> str:
        """The top-level package of the plugin's code."""
        return self.value.partition(":")[0].partition(".")[0].strip()

    @property
    def key(self) -> str:
        """Changes whenever a new probe is due."""
        parts = (self.id, self.version, self.value, self.fingerprint, platform.python_version(), gesso.__version__)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Discovery:
    """All plugins in load order, and a fingerprint of everything installed (a failed probe may succeed in another)."""

    entries: tuple[Entry, ...]
    environment: str
    malformed: tuple[str, ...] = ()
    """Distributions, of whatever kind, whose entry_points.txt makes `importlib.metadata.entry_points()` fail."""

    @property
    def loadable(self) -> list[Entry]:
        """Those whose metadata could be read."""
        return [entry for entry in self.entries if not entry.error]


def discover(plugins_dir: Path | None = None) -> Discovery:
    """Every installed plugin: built-ins first, then by name, then those of `plugins_dir`. Never raises for a plugin.

    An install that was cut short is undone first.
    """
    settle()
    found: dict[str, Entry] = {}
    seen: dict[str, str] = {}
    repeated: dict[str, str] = {}
    malformed: list[str] = []
    for dist in importlib.metadata.distributions():
        stem = _stem(dist)
        name = canonical(stem.partition("-")[0])
        if stem.startswith("~"):  # what pip leaves when it could not remove a folder
            continue
        if name in seen and name:
            repeated.setdefault(name, stem)  # the first on sys.path is the one Python imports
            continue
        seen[name] = stem
        text = _entry_points_text(dist)
        if not all("=" in line or line.startswith(("[", "#", ";")) for line in _lines(text)):
            malformed.append(stem)
        for entry in _entries_of(dist, stem, text):
            if found.setdefault(entry.id, entry) is not entry:
                log.warning("%s declares the entry point %r twice; the first is used.", entry.dist, entry.name)
    entries = [_with_repeat(entry, repeated) for entry in found.values()]
    entries.sort(key=lambda e: (not e.built_in, e.name, e.dist))
    if plugins_dir is not None:
        entries += _local_entries(plugins_dir)
    # With an editable gesso a plugin may have failed for a fault of ours that has been mended since.
    editable = any(entry.built_in and entry.fingerprint.startswith("mtime:") for entry in entries)
    installed = [*sorted(seen.values()), newest_source({BUILT_IN}) if editable else ""]
    environment = hashlib.sha256("\0".join(installed).encode()).hexdigest()
    return Discovery(tuple(entries), environment, tuple(malformed))


def canonical(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _stem(dist: importlib.metadata.Distribution) -> str:
    """`name-version` from the metadata folder's name; reading it costs no file access."""
    path = getattr(dist, "_path", None)
    return Path(str(path)).stem if path is not None else str(dist.metadata["Name"])


def _with_repeat(entry: Entry, repeated: dict[str, str]) -> Entry:
    other = repeated.get(canonical(entry.dist))
    return replace(entry, hint=f"Installed twice; {other} further down sys.path is not used.") if other else entry


def _entry_points_text(dist: importlib.metadata.Distribution) -> str:
    """The content of entry_points.txt, "" for none; bytes that are no text are replaced."""
    try:
        return dist.read_text("entry_points.txt") or ""
    except UnicodeDecodeError as error:
        return bytes(error.object).decode(errors="replace")
    except OSError:
        return ""


def _lines(text: str) -> Iterator[str]:
    return (line for line in map(str.strip, text.splitlines()) if line)


def _entries_of(dist: importlib.metadata.Distribution, stem: str, text: str) -> list[Entry]:
    """The entries of one distribution; a single broken row where its metadata cannot be read."""
    if f"[{GROUP}]" not in text.replace(" ", ""):
        return []
    name = canonical(stem.partition("-")[0]) or "?"
    broken = Entry(name=name, dist=name, version=stem.partition("-")[2])
    try:
        points = [(p.name, p.value) for p in dist.entry_points if p.group == GROUP]
        name, version = _name_and_version(dist)
        packages = {value.partition(":")[0].partition(".")[0].strip() for _, value in points}
        fingerprint = _fingerprint(dist, packages)
    except Exception as error:
        message = f"Its metadata cannot be read: {type(error).__name__}: {error}"
        hint = f"Remove it and install it again: gesso plugins uninstall {broken.dist}"
        return [replace(broken, error=message, hint=hint)]
    return [Entry(n, name, version, value, fingerprint, error=_malformed(value)) for n, value in points]


def _malformed(value: str) -> str:
    module, _, attribute = value.partition("[")[0].strip().partition(":")
    words = [*module.split("."), *(attribute.split(".") if ":" in value else [])]
    return "" if all(w.isidentifier() for w in words) else f"{value!r} is not of the form package.module[:object]."


def _name_and_version(dist: importlib.metadata.Distribution) -> tuple[str, str]:
    """From the head of METADATA. The e-mail parser importlib.metadata uses costs ten times as much."""
    text = dist.read_text("METADATA") or dist.read_text("PKG-INFO")
    if not text:
        raise ValueError("METADATA is missing or empty.")
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    if not fields.get("name") or not fields.get("version"):
        raise ValueError("METADATA names no Name or no Version.")
    return fields["name"], fields["version"]


def _fingerprint(dist: importlib.metadata.Distribution, packages: set[str]) -> str:
    """The hash of RECORD, which lists every file's hash; newest source file where there is none or it is editable."""
    record = dist.read_text("RECORD")
    if record and not _editable(dist):
        return "record:" + hashlib.sha256(record.encode()).hexdigest()
    return newest_source(packages)


def _editable(dist: importlib.metadata.Distribution) -> bool:
    text = dist.read_text("direct_url.json")
    return bool(text and json.loads(text).get("dir_info", {}).get("editable"))


def newest_source(packages: set[str]) -> str:
    """The newest modification time and number of the packages' Python files."""
    newest = count = 0
    for package in sorted(packages):
        spec = importlib.util.find_spec(package) if package else None
        if spec is None:
            continue
        for time in _source_times(spec.submodule_search_locations, spec.origin):
            newest, count = max(newest, time), count + 1
    return f"mtime:{newest}:{count}"


def _source_times(folders: list[str] | None, origin: str | None) -> Iterator[int]:
    if not folders:
        if origin and os.path.exists(origin):  # noqa: PTH110 - "built-in" and "frozen" are no paths
            yield Path(origin).stat().st_mtime_ns
        return
    for folder in folders:
        for path, names, files in os.walk(folder):
            names[:] = [name for name in names if name != "__pycache__"]
            yield from (os.stat(f"{path}/{file}").st_mtime_ns for file in files if file.endswith(".py"))  # noqa: PTH116


def _local_entries(folder: Path) -> list[Entry]:
    """Single-file plugins and packages with a plugin.py in a folder of one's own, by name."""
    if not folder.is_dir():
        raise InvalidInputError(f"The plugins folder {folder} does not exist.", hint="Make it or name another.")
    entries = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".py" and path.stem.isidentifier():
            value, times = path.stem, [path.stat().st_mtime_ns]
        elif (path / "plugin.py").is_file() and path.name.isidentifier():
            value, times = f"{path.name}.plugin", list(_source_times([str(path)], None))
        else:
            continue
        mark = f"mtime:{max(times)}:{len(times)}"
        entries.append(Entry(path.stem, LOCAL, "", value, mark, folder=str(folder.resolve())))
    return entries
