"""What is installed, who needs what, and the core's share of it, which no plugin may change."""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

import gesso
from gesso.plugins.discovery import GROUP
from gesso.plugins.installs.errors import InstallError

CORE = "gesso"


@dataclass(frozen=True)
class Dist:
    """A distribution, installed or about to be. `name` is spelled as PEP 503 compares it."""

    name: str
    version: str
    requires: tuple[str, ...] = ()
    """Requires-Dist lines."""
    site: Path | None = None
    """The folder on sys.path it lies in; None for one that is not installed."""
    requested: bool = False
    """Somebody asked for it by name; it is not there for others alone."""
    plugins: tuple[tuple[str, str], ...] = ()
    """(name, module[:object]) of its entry points in the group `gesso`."""

    def needs(self, extras: Collection[str] = ()) -> Iterator[Requirement]:
        """What it needs here: markers hold, for itself or for one of its extras."""
        for line in self.requires:
            try:
                need = Requirement(line)
            except InvalidRequirement:
                continue
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                yield need

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


Dists = Mapping[str, Dist]


def installed(path: list[str] | None = None) -> dict[str, Dist]:
    """Every distribution on sys.path (or `path`) by name, the one Python would import."""
    found: dict[str, Dist] = {}
    for one in importlib.metadata.distributions(path=sys.path if path is None else path):
        dist = _dist(one)
        found.setdefault(dist.name, dist)
    return found


def raw(dist: Dist) -> importlib.metadata.Distribution:
    """The standard library's view of an installed distribution."""
    return next(iter(importlib.metadata.distributions(name=dist.name, path=[str(dist.site)])))


def _dist(raw: importlib.metadata.Distribution) -> Dist:
    """Broken metadata must not keep a distribution from being removed: its folder's name tells what it is."""
    stem = Path(str(getattr(raw, "_path", "?-0"))).stem
    name, version = [*stem.split("-"), "0"][:2]
    requires: tuple[str, ...] = ()
    points: tuple[tuple[str, str], ...] = ()
    with contextlib.suppress(Exception):
        metadata = raw.metadata
        name, version = metadata["Name"] or name, metadata["Version"] or version
        requires = tuple(metadata.get_all("Requires-Dist") or ())
    with contextlib.suppress(Exception):
        points = tuple((point.name, point.value) for point in raw.entry_points if point.group == GROUP)
    site = Path(str(raw.locate_file("")))
    return Dist(canonicalize_name(name), version, requires, site, raw.read_text("REQUESTED") is not None, points)


# --- the core -----------------------------------------------------------------------------------------------------


def core_pins(dists: Dists) -> dict[str, str]:
    """Name → version of gesso, of everything it needs, and of pip: as installed, else as tested."""
    if CORE not in dists:
        raise InstallError(
            "gesso itself is not installed here, it only runs from its folder: what it needs is not known.",
            hint="Install it: python3 launch.py, or pip install gesso.",
        )
    tested, pins = constraints(), {}
    waiting, seen = [(CORE, frozenset[str]())], set[tuple[str, frozenset[str]]]()
    while waiting:
        name, extras = step = waiting.pop()
        if step in seen:
            continue
        seen.add(step)
        dist = dists.get(name)
        version = dist.version if dist else tested.get(name)
        if version:
            pins[name] = version
        if dist:
            waiting += [(canonicalize_name(need.name), frozenset(need.extras)) for need in dist.needs(extras)]
    if "pip" in dists:
        pins["pip"] = dists["pip"].version
    return pins


def constraints() -> dict[str, str]:
    """constraints.txt: a clone's own, else the one in the installed metadata. Empty when there is none."""
    path = Path(gesso.__file__).parent.parent.parent / "constraints.txt"
    if path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        text = importlib.metadata.distribution(CORE).read_text("extra_metadata/constraints.txt") or ""
    pairs = (line.partition("==") for line in text.splitlines() if "==" in line and not line.startswith("#"))
    return {canonicalize_name(name.strip()): version.strip() for name, _, version in pairs}


# --- who needs what -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Conflict:
    """A need that is not met."""

    dist: Dist
    need: Requirement
    found: str
    """The version that is there, "" for none."""

    def __str__(self) -> str:
        return f"{self.dist} needs {plain(self.need)}, and {self.found or 'none'} is installed"


def plain(need: Requirement) -> str:
    """A requirement without its marker."""
    extras = f"[{','.join(sorted(need.extras))}]" if need.extras else ""
    return f"{need.name}{extras}{need.specifier}"


def conflicts(dists: Dists) -> list[Conflict]:
    """Every need that is not met, in order of who has it. What a set of distributions is checked with."""
    found = []
    for _, dist in sorted(dists.items()):
        for need in dist.needs():
            other = dists.get(canonicalize_name(need.name))
            if other is None or not need.specifier.contains(other.version, prereleases=True):
                found.append(Conflict(dist, need, other.version if other else ""))
    return found


def who_needs(name: str, dists: Dists) -> list[tuple[Dist, Requirement]]:
    """The distributions that need `name`, and how."""
    wanted = canonicalize_name(name)
    return [(d, need) for _, d in sorted(dists.items()) for need in d.needs() if canonicalize_name(need.name) == wanted]


def reachable(names: Collection[str], dists: Dists) -> set[str]:
    """Everything installed that these need, directly or not; the names themselves are not among it."""
    found: set[str] = set()
    waiting = [name for name in names if name in dists]
    while waiting:
        for need in dists[waiting.pop()].needs():
            name = canonicalize_name(need.name)
            if name in dists and name not in found:
                found.add(name)
                waiting.append(name)
    return found - set(names)


def orphans(gone: Collection[str], dists: Dists) -> list[str]:
    """What nobody needs any more without `gone`: came along as a dependency, is no part of the core."""
    core = core_pins(dists)
    left = {name for name in reachable(gone, dists) if name not in core and not dists[name].requested}
    while True:
        kept = [dist for name, dist in dists.items() if name not in left and name not in gone]
        needed = {canonicalize_name(need.name) for dist in kept for need in dist.needs()}
        if not left & needed:
            return sorted(left)
        left -= needed
