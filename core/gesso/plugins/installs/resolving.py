"""From what a person names to exactly the files that would be installed, or to why they cannot be."""

from __future__ import annotations

import importlib.util
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.parser import HeaderParser
from html import escape
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from gesso.errors import InvalidInputError
from gesso.paths import Paths
from gesso.plugins.audit import declared_in
from gesso.plugins.installs import pip
from gesso.plugins.installs.blocklist import read_blocks, why_blocked, write_blocks
from gesso.plugins.installs.environment import Conflict, Dist, Dists, conflicts, core_pins, installed, raw
from gesso.plugins.installs.errors import InstallError
from gesso.plugins.installs.explain import UNCHANGED, clash, explain
from gesso.plugins.installs.index import Index, IndexEntry, read_index
from gesso.plugins.installs.proposal import Preview
from gesso.plugins.installs.trees import Tree, sites

ONLY_WHEELS = ("--only-binary", ":all:")
"""A source archive's build is code that runs before anybody has agreed to anything."""


@dataclass(frozen=True)
class Found:
    """What pip would install."""

    items: tuple[pip.Item, ...]
    sources: Mapping[str, str]
    """Distribution → what was asked for to get it."""
    notes: tuple[str, ...] = ()

    def is_requested(self, name: str, dists: Dists) -> bool:
        return name in self.sources or (name in dists and dists[name].requested)


@dataclass
class Resolver:
    """One resolution against what is installed. `folder` is for its files; they are needed until they are unpacked."""

    paths: Paths
    dists: Dists
    folder: Path
    index: str = ""
    builds: bool = False
    told: Callable[[str], None] = lambda line: None
    _entries: dict[tuple[str, str], IndexEntry] = field(default_factory=dict)
    _options: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pins = core_pins(self.dists)
        self.stage = self.folder / "stage"
        self._index = self._open_index()
        self._options += [] if self.builds else ONLY_WHEELS

    def _open_index(self) -> Index | None:
        """The index, its blocks remembered and its files offered to pip with their hashes."""
        from gesso.plugins.installs.settings import InstallSettings
        from gesso.settings import Settings

        default = Settings(self.paths.settings / "settings.json").section("plugins", InstallSettings).index
        source = self.index or default
        if source in ("", "none"):
            return None
        index = read_index(source)
        write_blocks(self.paths, source, index.blocked)
        self._entries = {(entry.name, str(Version(entry.version))): entry for entry in index.entries}
        page = self.folder / "index.html"
        links = [f'<a href="{escape(index.address(entry))}">{Path(entry.url).name}</a>\n' for entry in index.entries]
        page.write_text(f"<!DOCTYPE html><html><body>\n{''.join(links)}</body></html>\n", encoding="utf-8")
        self._options += ["--find-links", str(page)]
        return index

    # --- what is asked for ----------------------------------------------------------------------------------------

    def resolve(self, targets: Sequence[str], *, upgrade: bool = False) -> Found:
        """What pip would install for `targets`. InstallError explains what does not go together."""
        asked = dict(filter(None, (self._target(target, upgrade=upgrade) for target in targets)))
        if not asked:
            return Found((), {}, ("Everything is up to date.",))
        options = ["--upgrade", "--upgrade-strategy", "only-if-needed"] if upgrade else []
        items = self._ask(list(asked), options)
        for item in items:
            self._check(item)
        sources = {item.dist.name: self._source(item, asked) for item in items if item.dist.requested}
        note = "Everything is up to date." if upgrade else "It is installed already."
        return Found(tuple(items), sources, () if items else (note,))

    def _source(self, item: pip.Item, asked: Mapping[str, str]) -> str:
        for argument, source in asked.items():
            path = argument.partition("#")[0]
            if item.url in (path, Path(path).resolve().as_uri() if "://" not in path else path):
                return source
        return item.dist.name

    def _target(self, target: str, *, upgrade: bool) -> tuple[str, str] | None:
        """(what pip is given, what was asked for); None for what an index has nothing newer of."""
        text = target.strip()
        if text.startswith(("git+", "hg+", "svn+", "bzr+")) or _is_path(text):
            return self._file(text), text if "://" in text else str(Path(text).expanduser().resolve())
        if "://" in text and not text.partition("@")[0].strip().isidentifier():
            return (text, text) if text.partition("#")[0].endswith(".whl") else (self._file(text), text)
        try:
            need = Requirement(text)
        except InvalidRequirement:
            raise InvalidInputError(
                f"{target!r} is neither a name, nor a file, nor an address.", hint="Such as gesso-halfway or ./x.whl."
            ) from None
        name = canonicalize_name(need.name)
        if name in self.pins:
            raise InstallError(
                f"{name} is a package of gesso's core ({self.pins[name]}) and is not changed by plugin commands. "
                f"{UNCHANGED}"
            )
        if self._index is None or need.url:
            return text, name
        entry = self._index.choose(need)
        if upgrade and name in self.dists and Version(self.dists[name].version) >= Version(entry.version):
            return None
        extras = f"[{','.join(sorted(need.extras))}]" if need.extras else ""
        return f"{name}{extras} @ {self._index.address(entry)}", name

    def _file(self, target: str) -> str:
        """A wheel's path: the one given, or one that is built. A build runs the project's code."""
        if "://" not in target:
            path = Path(target).expanduser().resolve()
            if not path.exists():
                raise InvalidInputError(f"There is no {path}.")
            if path.suffix == ".whl":
                return str(path)
            target = str(path)
        self.told(f"Building {target}")
        try:
            return str(pip.build(target, self.folder / "built", self.told))
        except pip.PipError as error:
            raise explain(str(error), self.pins, self.dists) from None

    # --- pip's answer, judged -------------------------------------------------------------------------------------

    def _ask(self, targets: Sequence[str], options: Sequence[str]) -> list[pip.Item]:
        """pip's answer under the core's versions, then again under the needs of the plugins it would break."""
        held = [f"{name}=={version}" for name, version in sorted(self.pins.items())]
        # Newer ones of pip's package index do not come before what the index names.
        newest = {entry.name: entry for entry in sorted(self._entries.values(), key=lambda e: Version(e.version))}
        held += [f"{name}<={entry.version}" for name, entry in newest.items() if name not in self.pins]
        self.told("Resolving")
        items = self._pip(targets, held, options)
        broken = self._broken(items)
        if not broken:
            return items
        needs = [f"{c.need.name}{c.need.specifier}" for c in broken]
        news = {item.dist.name: item.dist for item in items}
        try:
            items = pip.resolve(targets, [*held, *needs], [*self._options, *options], self.told)
        except pip.PipError:
            raise clash(broken, self.dists, news) from None
        if self._broken(items):
            raise clash(broken, self.dists, news)
        return items

    def _pip(self, targets: Sequence[str], held: Sequence[str], options: Sequence[str]) -> list[pip.Item]:
        try:
            return pip.resolve(targets, held, [*self._options, *options], self.told)
        except pip.PipError as error:
            raise explain(str(error), self.pins, self.dists) from None

    def _broken(self, items: Sequence[pip.Item]) -> list[Conflict]:
        """Needs of what is installed that would no longer be met."""
        known = {(c.dist.name, str(c.need)) for c in conflicts(self.dists)}
        news = {item.dist.name: item.dist for item in items}
        return [c for c in conflicts({**self.dists, **news}) if (c.dist.name, str(c.need)) not in known]

    def _check(self, item: pip.Item) -> None:
        """No part of the core, not blocked, and the index's own file where the index has that name."""
        name, version = item.dist.name, item.dist.version
        if name in self.pins:
            raise InstallError(f"It would replace {name} {self.pins[name]} of gesso's core. {UNCHANGED}")
        if reason := why_blocked(read_blocks(self.paths), name, version, item.sha256):
            raise InstallError(f"{reason} {UNCHANGED}")
        if self._index is not None and any(entry.name == name for entry in self._index.entries):
            entry = self._entries.get((name, str(Version(version))))
            if entry is None or entry.sha256 != item.sha256:
                raise InstallError(
                    f"pip would take {name} {version} from {item.url}, which is not the file that the index "
                    f"{self._index.name} names. {UNCHANGED}"
                )

    # --- its files ------------------------------------------------------------------------------------------------

    def unpack(self, found: Found) -> dict[str, Dist]:
        """Unpack the files aside. InstallError: what is asked for is no plugin."""
        self.told(f"Fetching {', '.join(str(item.dist) for item in found.items)}")
        try:
            pip.unpack(found.items, self.stage, self._options, self.told)
        except pip.PipError as error:
            raise explain(str(error), self.pins, self.dists) from None
        news = installed(sites(self.stage))
        missing = {item.dist.name for item in found.items} - set(news)
        if missing:
            raise InstallError(f"pip did not unpack {', '.join(missing)} where it was told to. {UNCHANGED}")
        for name in found.sources:
            if not news[name].plugins:
                raise InstallError(
                    f"{news[name]} is no gesso plugin: it has no entry point in the group gesso. {UNCHANGED}",
                    hint=f"Other packages are installed with: pip install {name}",
                )
        return news

    def previews(self, found: Found, news: Dists) -> list[Preview]:
        """Every plugin that comes in, by its metadata and its source alone."""
        previews = []
        for dist in news.values():
            entry = self._entries.get((dist.name, str(Version(dist.version)))) if self._index else None
            summary = HeaderParser().parsestr(raw(dist).read_text("METADATA") or "").get("Summary", "")
            for point, value in dist.plugins:
                capabilities = declared_in(_module(value, sites(self.stage)))
                if entry is not None and set(capabilities) - set(entry.capabilities):
                    more = ", ".join(sorted(set(capabilities) - set(entry.capabilities)))
                    raise InstallError(f"{dist} declares {more}, of which its index says nothing. {UNCHANGED}")
                shown = tuple(sorted({*capabilities, *(entry.capabilities if entry else ())}))
                previews.append(Preview(f"{dist.name}:{point}", dist.version, shown, summary))
        return previews

    def check_files(self, old: Mapping[str, Tree], new: Mapping[str, Tree], prefix: Path) -> None:
        """No file of another distribution is overwritten, no module of one hidden."""
        leaving = {file for tree in old.values() for file in tree.files}
        here = [Path(site).relative_to(prefix).as_posix() for site in sites(prefix)]
        owners: dict[str, str] = {}
        for tree in new.values():
            for file in tree.files:
                if file in owners:
                    raise InstallError(f"{tree.name} and {owners[file]} both have the file {file}. {UNCHANGED}")
                owners[file] = tree.name
                if file not in leaving and (prefix / file).exists():
                    owner = self._owner(prefix / file)
                    raise InstallError(f"{tree.name} would overwrite {file} of {owner}. {UNCHANGED}")
            for module in {_top(file, here) for file in tree.files if file not in leaving} - {""}:
                if hidden := _elsewhere(module, prefix):
                    raise InstallError(f"{tree.name} would hide the module {module} in {hidden}. {UNCHANGED}")

    def _owner(self, path: Path) -> str:
        for dist in self.dists.values():
            if any(Path(str(file.locate())).resolve() == path.resolve() for file in raw(dist).files or ()):
                return str(dist)
        return "no distribution; move it away"


def _is_path(text: str) -> bool:
    return "://" not in text and (
        text.endswith((".whl", ".tar.gz", ".zip")) or text.startswith((".", "~")) or "/" in text or "\\" in text
    )


def _module(value: str, folders: Sequence[str]) -> Path:
    """The source file of an entry point's module; one that is not there when there is none."""
    relative = value.partition(":")[0].strip().replace(".", "/")
    places = [Path(folder, relative + end) for folder in folders for end in (".py", "/__init__.py")]
    return next((place for place in places if place.is_file()), places[0])


def _top(file: str, folders: Sequence[str]) -> str:
    """The module a file belongs to, "" for scripts and metadata."""
    for folder in folders:
        first, _, rest = file.removeprefix(f"{folder}/").partition("/")
        if file.startswith(f"{folder}/") and not first.endswith((".dist-info", ".data", ".pth")):
            return first if rest else first.partition(".")[0] if first.endswith((".py", ".so", ".pyd")) else ""
    return ""


def _elsewhere(module: str, prefix: Path) -> str:
    """Where a module of another installed package is that a new one would come before; "" for none."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    if spec is None or not spec.origin or spec.origin in ("built-in", "frozen"):
        return ""
    origin = Path(spec.origin)
    standard = Path(sysconfig.get_path("stdlib"))
    in_standard = origin.is_relative_to(standard) and "site-packages" not in origin.parts
    return "" if in_standard or origin.is_relative_to(prefix) else str(origin)
