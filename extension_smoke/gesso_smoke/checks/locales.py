"""Translations are whole: en.json is there, and every other language has its keys and placeholders."""

from __future__ import annotations

import json
import re
from pathlib import Path

from gesso.testing import plugin_folder
from gesso_smoke.rules import Needs, NotApplicable, broken, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "import"
LABELS = ("tabs", "stages", "tasks", "params", "records", "groups", "settings", "sections", "core")
"""Keys that begin so are translations of what records say, which is their English."""


def check(subject: Subject) -> None:
    folder = plugin_folder(subject.id, plugins_dir=subject.plugins_dir)
    files = sorted(folder.joinpath("locales").glob("*.json")) if folder is not None else []
    if not files:
        raise NotApplicable("It brings no translations.")
    texts = {file.stem: _texts(file) for file in files}
    name = subject.installed.name
    own = (name, name.removesuffix("_tab"))
    if "en" not in texts:
        _check_pack(texts, own)
        return
    english = texts["en"]
    strangers = [key for key in english if key.removeprefix("js.").partition(".")[0] not in (*own, *LABELS)]
    require(not strangers, f"Its keys begin with {name!r} and a dot (for scripts js.{name}.), unlike {strangers[:3]}.")
    for language, whole in texts.items():
        found = {key: text for key, text in whole.items() if key in english or key.partition(".")[0] not in LABELS}
        missing, stale = sorted(set(english) - set(found)), sorted(set(found) - set(english))
        require(not missing, f"{language}.json lacks {len(missing)} texts, such as {missing[:1]}.")
        require(not stale, f"{language}.json has {stale[:3]}, which en.json does not know.")
        for key, text in found.items():
            wanted, held = _placeholders(english[key]), _placeholders(text)
            require(wanted == held, f"{language}.json: {key} has the placeholders {held}, not {wanted}.")


def _check_pack(texts: dict[str, dict[str, str]], own: tuple[str, ...]) -> None:
    """Languages for what others say, by its English; who says something by a key says it in English first."""
    for language, whole in texts.items():
        keys = [key for key in whole if key.removeprefix("js.").partition(".")[0] in own and " " not in key]
        missing = "locales/en.json is missing: its texts are what every other language falls back to."
        require(not keys, f"{missing} {language}.json has {keys[:1]}.")
        for english, text in whole.items():
            wanted, held = _placeholders(english), _placeholders(text)
            require(wanted == held, f"{language}.json: {english} has the placeholders {held}, not {wanted}.")


def _texts(file: Path) -> dict[str, str]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        broken(f"{file.name} is no JSON: {error}.")
    flat = isinstance(data, dict) and all(isinstance(value, str) and value for value in data.values())
    require(flat and data, f"{file.name} has to be one flat object of keys and texts, none of them empty.")
    return dict(data)


def _placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w*)\}", text))
