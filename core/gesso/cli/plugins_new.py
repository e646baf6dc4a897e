"""`gesso plugins new`: a project for a plugin of one kind, whose tests and smoke suite pass as they are."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from gesso.errors import InvalidInputError, UnknownNameError
from gesso.files import write_whole

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
COMMON = "common"


def kinds() -> list[str]:
    """The kinds of plugins there are templates for."""
    return sorted(folder.name for folder in _templates().iterdir() if folder.is_dir() and folder.name != COMMON)


def summary(kind: str) -> str:
    """What the first line of a kind's plugin says it is."""
    text = _templates().joinpath(kind, "@package@", "plugin.py.txt").read_text(encoding="utf-8")
    return text.split('"""')[1].splitlines()[0]


def new_plugin(name: str, kind: str, folder: Path) -> list[Path]:
    """Write the project `folder/gesso-name` and return its files.

    InvalidInputError: no such name is possible, or the folder is there already. UnknownNameError: no such kind.
    """
    name = name.removeprefix("gesso-").replace("_", "-").lower()
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"{name!r} cannot be a plugin's name.", hint="Use letters, digits and '-', as in my-sampler."
        )
    if kind not in kinds():
        raise UnknownNameError("kind of plugin", kind, kinds())
    root = folder / f"gesso-{name}"
    if root.exists():
        raise InvalidInputError(f"{root} is there already.", hint="Choose another name or --into another folder.")
    words = _words(name, kind)
    texts = {}
    for source in (_templates() / COMMON, _templates() / kind):
        for path, text in _files(source):
            texts[root / _filled(path.removesuffix(".txt"), words)] = _filled(text, words)
    for target, text in texts.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, text)
    return sorted(texts)


def _words(name: str, kind: str) -> dict[str, str]:
    """What the placeholders of a template (@name@) stand for."""
    identifier = name.replace("-", "_")
    title = "".join(part.capitalize() for part in name.split("-"))
    return {
        "dist": f"gesso-{name}", "package": f"gesso_{identifier}", "name": identifier,
        "label": name.replace("-", " ").capitalize(), "Class": title, "summary": summary(kind).rstrip("."),
    }  # fmt: skip


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _templates() -> Traversable:
    return files("gesso.cli") / "templates"


def _files(folder: Traversable, place: str = "") -> list[tuple[str, str]]:
    """(relative path, text) of every file; a kind's Python modules lie in the package's folder."""
    found = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            found += _files(item, f"{place}{item.name}/")
        elif item.name.endswith(".txt"):
            found.append((f"{place}{item.name}", item.read_text(encoding="utf-8")))
    return found
