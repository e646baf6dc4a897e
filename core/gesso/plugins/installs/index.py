"""The index of plugins: one JSON document that names files by their hash, and what is blocked.

{"schema": 1, "name": "Ours",
 "plugins": [{"name": "gesso-halfway", "version": "1.0", "api": "1", "sha256": "…",
              "url": "gesso_halfway-1.0-py3-none-any.whl", "capabilities": ["network"],
              "requires": ["scipy>=1.14"], "summary": "…"}],
 "blocked": [{"name": "gesso-evil", "versions": "<2", "sha256": "", "reason": "…"}]}
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Annotated, Literal

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gesso.errors import BadFileError, InvalidInputError, UnknownNameError
from gesso.plugins.boundary import SUPPORTED_APIS
from gesso.plugins.installs.errors import InstallError

MAX_BYTES = 20_000_000
SECONDS = 20.0
WHEN_LOCAL = ("localhost", "127.0.0.1", "::1")


def _version(text: str) -> str:
    try:
        return str(Version(text))
    except InvalidVersion:
        raise ValueError(f"{text!r} is no version") from None


def _versions(text: str) -> str:
    try:
        return str(SpecifierSet(text))
    except InvalidSpecifier:
        raise ValueError(f"{text!r} is no range of versions such as <2") from None


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(lambda name: str(canonicalize_name(name)))]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class IndexEntry(BaseModel):
    """One file of an index: a plugin, or something plugins need."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: Name
    version: Annotated[str, AfterValidator(_version)]
    sha256: Sha256
    url: str = Field(min_length=1)
    """Of the wheel; relative to the index."""
    api: str = ""
    """The plugin API it is written for; "" for what is no plugin."""
    capabilities: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    summary: str = ""


class Block(BaseModel):
    """What must not be installed: by name and versions, by the hash of its file, or by both."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: Annotated[str, AfterValidator(lambda name: str(canonicalize_name(name)))] = ""
    versions: Annotated[str, AfterValidator(_versions)] = ""
    """"" stands for all."""
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    reason: str = Field(min_length=1)

    @model_validator(mode="after")
    def _names_something(self) -> Block:
        if not (self.name or self.sha256):
            raise ValueError("a block needs a name or a sha256")
        return self

    def matches(self, name: str, version: str, sha256: str = "") -> bool:
        """Whether this is what is blocked. A hash that is not known matches no hash."""
        if self.sha256 and self.sha256 == sha256:
            return True
        if not self.name or self.name != canonicalize_name(name) or (self.sha256 and sha256 != self.sha256):
            return False
        try:
            return SpecifierSet(self.versions).contains(version, prereleases=True)
        except InvalidVersion:
            return not self.versions


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore")
    schema_: Literal[1] = Field(alias="schema")
    name: str = ""
    plugins: tuple[IndexEntry, ...] = ()
    blocked: tuple[Block, ...] = ()


class Index:
    """An index that has been read. `source` is the file or address it came from."""

    def __init__(self, source: str, document: _Document) -> None:
        self.source, self.name = source, document.name or source
        self.entries, self.blocked = document.plugins, document.blocked

    def address(self, entry: IndexEntry) -> str:
        """Where an entry's file is, with its hash, as pip takes it."""
        base = self.source if "://" in self.source else Path(self.source).resolve().as_uri()
        address = urllib.parse.urljoin(base, entry.url)
        if base.startswith("http") and address.startswith("file:"):
            raise InstallError(f"The index {self.source} names a file of this machine ({entry.url}).")
        return f"{address.partition('#')[0]}#sha256={entry.sha256}"

    def choose(self, need: Requirement) -> IndexEntry:
        """The newest entry that fits and is for this gesso; the errors say what there is."""
        name = canonicalize_name(need.name)
        named = [entry for entry in self.entries if entry.name == name]
        if not named:
            raise UnknownNameError(f"plugin of the index {self.name}", need.name, [e.name for e in self.entries])
        fitting = [entry for entry in named if need.specifier.contains(entry.version, prereleases=True)]
        usable = [entry for entry in fitting if not entry.api or entry.api in SUPPORTED_APIS]
        if not fitting:
            there = ", ".join(sorted({entry.version for entry in named}, key=Version))
            raise InstallError(f"The index {self.name} has no {need}, but {there}.")
        if not usable:
            apis = ", ".join(sorted({entry.api for entry in fitting}))
            raise InstallError(
                f"{need} is for plugin API {apis}; this gesso has {', '.join(SUPPORTED_APIS)}.", hint="Update gesso."
            )
        return max(usable, key=lambda entry: Version(entry.version))


def read_index(source: str) -> Index:
    """Read an index from a file or an address (https; http from this machine alone).

    InstallError: it cannot be reached. BadFileError: it is no index; the text says which field.
    """
    data = _fetch(source) if "://" in source else _load(Path(source))
    try:
        return Index(source, _Document.model_validate(json.loads(data)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise BadFileError(f"The index {source} is not valid: {where}: {first['msg']}.") from None
    except (ValueError, RecursionError) as error:
        raise BadFileError(f"The index {source} is no JSON: {error}.") from None


def _load(path: Path) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise InvalidInputError(f"The index {path} cannot be read: {error.strerror}.") from None


def _fetch(source: str) -> bytes:
    _check_address(source)
    try:
        with urllib.request.urlopen(source, timeout=SECONDS) as answer:
            _check_address(answer.geturl())  # where it was sent on to
            data: bytes = answer.read(MAX_BYTES + 1)
    except (urllib.error.URLError, OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise InstallError(
            f"The index {source} cannot be reached: {reason}.", hint="Is there a network, a proxy (HTTPS_PROXY)?"
        ) from None
    if len(data) > MAX_BYTES:
        raise BadFileError(f"The index {source} is larger than {MAX_BYTES // 1_000_000} MB.")
    return data


def _check_address(address: str) -> None:
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in ("http", "https") or (parts.scheme == "http" and parts.hostname not in WHEN_LOCAL):
        raise InvalidInputError(
            f"An index is read from a file or over https, not from {address}.",
            hint="Over http anybody on the way could change it.",
        )
