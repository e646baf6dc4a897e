"""Models that lie elsewhere: folders of other programs, extra_model_paths.yaml, single folders. Nothing is copied."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.contributions import ModelFolder
from gesso.errors import BadFileError, InvalidInputError, UnknownNameError
from gesso.models.layouts import COMFY_KEYS, EXTRA_PATHS, MARKS, ROLES
from gesso.params import Params, param

if TYPE_CHECKING:
    from gesso.settings import Settings

MAX_YAML = 1_000_000
_WHY = {
    errno.ENOENT: "is not there",
    errno.EACCES: "may not be read by this user",
    errno.EPERM: "may not be read by this user",
    errno.ELOOP: "is a link that leads in a circle",
    errno.ENOTDIR: "leads through something that is no folder",
    errno.ENAMETOOLONG: "has too long a name",
}


class ModelSettings(Params):
    """Where models are, and how they are looked after."""

    mounts: list[str] = param(
        [], label="Other places", changes_picture=False,
        description="Folders of A1111, Forge, SD.Next, ComfyUI or SwarmUI, or an extra_model_paths.yaml. role=folder "
        "names one kind of model, as lora=/data/loras.",
    )  # fmt: skip
    hash_in_background: bool = param(True, label="Compute hashes in the background", changes_picture=False)
    hash_speed: float = param(
        100.0, gt=0, le=100_000, label="Speed of that", unit="MB/s", changes_picture=False,
        description="Lower leaves more of the disk to others.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mount:
    """A place as it is now. `text` is how the settings name it."""

    text: str
    layout: str = ""
    """Whose layout: A1111, ComfyUI, extra_model_paths.yaml, or "folder"."""
    folders: tuple[ModelFolder, ...] = ()
    first: bool = False
    """Looked through before a person's own folders (`is_default` in the YAML)."""
    problems: tuple[str, ...] = field(default=())
    """One sentence for whatever is missing or cannot be read; the rest is used."""


def split(text: str) -> tuple[str, Path]:
    """Role ("" for a program's folder or a YAML file) and absolute path of a mount."""
    role, equals, path = text.partition("=")
    if not equals or not role.replace("_", "").isalnum():
        role, path = "", text
    expanded = os.path.expandvars(os.path.expanduser(path.strip()))  # noqa: PTH111 - a Path would lose "~~"
    if not expanded:
        raise InvalidInputError("A mount needs a folder.", hint="gesso models mounts add /path/to/ComfyUI")
    return role.strip(), Path(os.path.abspath(expanded))  # noqa: PTH100 - keeps links as they are


def look(text: str) -> Mount:
    """What a mount holds now. Never fails: what is wrong stands in `problems`."""
    try:
        role, path = split(text)
    except InvalidInputError as error:
        return Mount(text, problems=(str(error),))
    if why := problem_of(path):
        return Mount(text, problems=(f"The mount {path} {why}.",))
    if path.is_file():
        return _yaml_mount(text, path)
    if role:
        return Mount(text, "folder", (ModelFolder(name=text, role=role, path=path),))
    folders = tuple(ModelFolder(name=f"{text}:{name}", role=r, path=p) for name, r, p in _known_folders(path))
    names = {folder.name.removeprefix(f"{text}:") for folder in folders}
    layout = next((who for name, who in MARKS.items() if name in names), "")
    extra = path / EXTRA_PATHS
    more = _yaml_mount(text, extra) if extra.is_file() else Mount(text)
    if not folders and not more.folders and not more.problems:
        problem = (
            f"The mount {path} holds no folder that A1111, Forge, SD.Next, ComfyUI or SwarmUI keep models in. "
            f"For a folder of one kind write its role in front: checkpoint={path}."
        )
        return Mount(text, problems=(problem,))
    unreadable = tuple(f"The folder {f.path} {why}." for f in folders if (why := problem_of(f.path)))
    return Mount(text, layout, (*more.folders, *folders), problems=(*unreadable, *more.problems))


def problem_of(path: Path) -> str:
    """Why a folder or file cannot be used, "" when it can."""
    try:
        path.stat()
        if path.is_dir():
            with os.scandir(path):
                pass
        else:
            path.open("rb").close()
    except OSError as error:
        return _WHY.get(error.errno or 0, f"cannot be read: {error.strerror or error}")
    return ""


def _known_folders(root: Path) -> Iterator[tuple[str, str, Path]]:
    """(name in ROLES, role, path) of every known folder below a program's folder, or its `models` folder."""
    for name, role in ROLES.items():
        for wanted in (name, name.removeprefix("models/")):
            found = _in_any_case(root, wanted.split("/"))
            if found is not None:
                yield name, role, found
                break


def _in_any_case(root: Path, parts: list[str]) -> Path | None:
    for part in parts:
        try:
            root = next(p for p in sorted(root.iterdir()) if p.name.lower() == part)
        except (StopIteration, OSError):
            return None
    return root if root.is_dir() or root.is_symlink() else None


# --- extra_model_paths.yaml ---------------------------------------------------------------------------------------


def _yaml_mount(text: str, path: Path) -> Mount:
    try:
        found = read_extra_paths(path)
    except BadFileError as error:
        return Mount(text, EXTRA_PATHS, problems=(str(error),))
    folders = tuple(ModelFolder(name=f"{text}:{i}", role=role, path=p) for i, (role, p, _) in enumerate(found))
    problems = tuple(f"The folder {f.path}, which {path} names, {why}." for f in folders if (why := problem_of(f.path)))
    return Mount(text, EXTRA_PATHS, folders, any(first for _, _, first in found), problems)


def read_extra_paths(path: Path) -> list[tuple[str, Path, bool]]:
    """(role, folder, is it a default) of ComfyUI's extra_model_paths.yaml; those of default sections first.

    BadFileError: one message that names the file and the place.
    """
    import yaml

    try:
        data = path.read_bytes()
        sections = yaml.safe_load(data) if len(data) <= MAX_YAML else None
    except OSError as error:
        raise BadFileError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise BadFileError(f"{path}{line} is no YAML: {problem}.", hint="Compare it with ComfyUI's example.") from None
    if sections is None and len(data) <= MAX_YAML:
        return []  # all of it is comments, as in ComfyUI's example
    if not isinstance(sections, dict):
        raise BadFileError(f"{path} is no list of sections.", hint="Compare it with ComfyUI's example.")
    found = [line for name, section in sections.items() for line in _section(path, str(name), section)]
    return sorted(found, key=lambda line: not line[2])


def _section(path: Path, name: str, section: Any) -> Iterator[tuple[str, Path, bool]]:
    if section is None:
        return
    if not isinstance(section, dict) or not isinstance(base := section.get("base_path") or "", str):
        raise BadFileError(f"{path}: the section {name!r} is no list of folders with a base_path.")
    root = path.parent / os.path.expandvars(os.path.expanduser(base))  # noqa: PTH111
    default = section.get("is_default") is True
    for key, value in section.items():
        if key in ("base_path", "is_default") or value is None:
            continue
        role = COMFY_KEYS.get(str(key).lower(), str(key).lower())
        if not isinstance(value, str):
            raise BadFileError(f"{path}: {name}.{key} is no folder, nor several on lines of their own (key: |).")
        for line in value.splitlines():
            if role and line.strip():
                expanded = os.path.expandvars(os.path.expanduser(line.strip()))  # noqa: PTH111
                yield role, Path(os.path.normpath(root / expanded)), default


# --- all of them --------------------------------------------------------------------------------------------------

FRESH_S = 2.0
"""How long what was seen on the disk counts."""


class Mounts:
    """The mounts of the settings, followed while the program runs. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock = settings, threading.Lock()
        self._seen: tuple[tuple[str, ...], float, list[Mount]] = ((), 0.0, [])

    def settings(self) -> ModelSettings:
        """The section as the file says now."""
        return self._settings.section("models", ModelSettings)

    def all(self) -> list[Mount]:
        """Every mount as it is now; what was looked up less than FRESH_S ago is not looked up again."""
        texts = tuple(self.settings().mounts)
        with self._lock:
            before, at, mounts = self._seen
            if before != texts or time.monotonic() - at > FRESH_S:
                mounts = [look(text) for text in texts]
                self._seen = (texts, time.monotonic(), mounts)
            return mounts

    def folders(self, own: Sequence[ModelFolder]) -> list[ModelFolder]:
        """A person's own folders and the mounts', in the order they are looked through."""
        mounts = self.all()
        first = [folder for mount in mounts if mount.first for folder in mount.folders]
        return [*first, *own, *(folder for mount in mounts if not mount.first for folder in mount.folders)]

    def problems(self) -> list[str]:
        """One sentence for everything that is wrong with a mount."""
        return [problem for mount in self.all() for problem in mount.problems]

    def add(self, path: str, role: str = "") -> Mount:
        """Mount a program's folder, an extra_model_paths.yaml or, with a role, one folder. Seen in every process.

        InvalidInputError: there is nothing to mount. A mount of which only parts are wrong is added; see `problems`.
        """
        given, place = split(f"{role}={path}" if role else path)
        text = f"{given}={place}" if given else str(place)
        mount = look(text)
        if not mount.folders:
            raise InvalidInputError(" ".join(mount.problems) or f"{place} names no folder of models.")
        old = self.settings()
        if text not in old.mounts:
            self._settings.save("models", old.model_copy(update={"mounts": [*old.mounts, text]}))
        return mount

    def remove(self, path: str) -> None:
        """Forget a mount, by path or as the settings name it; no file is touched. UnknownNameError: no such mount."""
        old = self.settings()
        wanted = str(split(path)[1])
        kept = [text for text in old.mounts if text != path and str(split(text)[1]) != wanted]
        if len(kept) == len(old.mounts):
            raise UnknownNameError("mount", path, old.mounts)
        self._settings.save("models", old.model_copy(update={"mounts": kept}))
