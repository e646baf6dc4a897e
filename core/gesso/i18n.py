"""Texts of the page in the reader's language. Torch-free, Gradio-free.

`text("history.empty")` is an ordinary string with a mark in it, which goes wherever a string goes: labels, HTML,
errors, JSON. The server puts the words in when it sends them, in the language of whoever asked.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.errors import BadFileError, InvalidInputError

if TYPE_CHECKING:
    from gesso.params import Params
    from gesso.service import Service

START, BETWEEN, END = "\ue000", "\ue001", "\ue002"
"""Private-use characters: no keyboard makes them, HTML and JSON leave them alone."""
_MARK = re.compile(r"(?:\ue000|\\ue000)((?:(?!\ue000|\ue002|\\ue000|\\ue002).)*?)(?:\ue002|\\ue002)", re.DOTALL)
_BETWEEN = re.compile(r"\ue001|\\ue001")
_FIELD = re.compile(r"\{(\w+)\}")
_UNUSABLE = re.compile(r'[<>"\ue000-\ue002]')
DEPTH = 4
"""Marks inside the values of marks, at most so many deep."""
SOURCE = "en"
KEY = re.compile(r"[a-z0-9_]+(\.[A-Za-z0-9_]+)+")


def text(key: str, default: str = "", **values: object) -> str:
    """A text of the page by its key: `text("history.found", count=3)` is "{count} found" of the locale files.

    `default` is the English where no locale file has the key (a label that its record brings). With an empty key the
    English itself is looked up. `values` stand where the text has {name}; within HTML, escape the whole as ever.
    """
    parts = [key, default, *(f"{name}={value}" for name, value in values.items())]
    return START + BETWEEN.join(parts) + END


@dataclass(frozen=True, slots=True)
class LocaleReport:
    """What a language lacks: `missing` keys, `stale` ones that nobody asks for, `unusable` entries with the reason."""

    language: str
    missing: tuple[str, ...]
    stale: tuple[str, ...]
    unusable: tuple[str, ...]


class Catalog:
    """All texts of a page. `folders` hold `<language>.json` files, later ones over earlier; `english` is what no file
    has, such as the labels of parameter records; `choices` is English that has no key and may be translated.

    A file is {"key": "text"}, or A1111's flat {"English": "translated"}: a name that is no key is taken as English.
    """

    def __init__(
        self, folders: Iterable[Path], english: Mapping[str, str] | None = None, choices: Iterable[str] = ()
    ) -> None:
        self._choices = frozenset(choices)
        self._tables: dict[str, dict[str, str]] = {SOURCE: {}}
        self._unusable: dict[str, list[str]] = {}
        for folder in folders:
            for path in sorted(folder.glob("*.json")):
                self._tables.setdefault(path.stem, {}).update(self._read(path))
        self.english = {**(english or {}), **self._tables[SOURCE]}

    def _read(self, path: Path) -> dict[str, str]:
        try:
            data = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise BadFileError(f"The locale file {path} cannot be read: {error}.") from None
        if not isinstance(data, dict):
            raise InvalidInputError(f'The locale file {path} is no object {{"key": "text"}}.')
        good = {}
        for key, value in data.items():
            if isinstance(value, str) and not _UNUSABLE.search(value):
                good[key] = value
            else:  # it would end up in HTML attributes
                said = f'{path.name}: {key}: is no text, or has <, > or " in it'
                self._unusable.setdefault(path.stem, []).append(said)
        return {key: value for key, value in good.items() if value}

    @property
    def languages(self) -> dict[str, str]:
        """Language → its own name, English first."""
        names = {code: table.get("shell.language_name", code) for code, table in self._tables.items()}
        return {SOURCE: names.pop(SOURCE), **dict(sorted(names.items()))}

    def match(self, *wanted: str) -> str:
        """The language that fits best: a code ("zh_CN"), or an Accept-Language header; the first that fits anything."""
        known = {code.casefold(): code for code in self._tables}
        for header in wanted:
            for code in _by_quality(header):
                while code:
                    if code in known:
                        return known[code]
                    same = [name for name in known if name.startswith(f"{code}_")]
                    if same:
                        return known[same[0]]
                    code = code.rpartition("_")[0]
        return SOURCE

    def get(self, key: str, language: str, default: str = "") -> str | None:
        """The words of a key; None when there are none in any language."""
        english = self.english.get(key) or default
        for code in _line(language):
            table = self._tables.get(code, {})
            found = table.get(key) or table.get(english)
            if found:
                return found
        return english or None

    def translate(self, body: str, language: str, *, in_json: bool = False) -> str:
        """`body` with words in place of the marks. `in_json`: it is JSON, or HTML with JSON in it."""

        def put(found: re.Match[str]) -> str:
            key, *rest = _BETWEEN.split(found[1])
            default, pairs = "".join(rest[:1]), rest[1:]
            words = self.get(key, language)
            if words is not None and in_json:
                words = json.dumps(words, ensure_ascii=False)[1:-1]
            if words is None:
                words = self.get("", language, default) or key
            values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            return _FIELD.sub(lambda field: values.get(field[1], field[0]), words)

        for _ in range(DEPTH):
            body, count = _MARK.subn(put, body)
            if not count:
                break
        return body

    def starting(self, prefix: str, language: str) -> dict[str, str]:
        """All texts whose keys start so, for a script."""
        return {key: self.get(key, language) or "" for key in self.english if key.startswith(prefix)}

    def report(self, language: str) -> LocaleReport:
        """What is missing in a language and what nobody asks for."""
        table = self._tables.get(language, {})
        texts = {*self.english.values(), *self._choices}
        missing = [key for key, words in self.english.items() if not (table.get(key) or table.get(words))]
        stale = [key for key in table if key not in self.english and key not in texts]
        return LocaleReport(
            language,
            () if language == SOURCE else tuple(sorted(missing)),
            tuple(sorted(stale)),
            tuple(self._unusable.get(language, ())),
        )


def _by_quality(header: str) -> list[str]:
    """Codes of an Accept-Language header, the wanted first, as "zh_cn"."""
    found = []
    for place, part in enumerate(header.split(",")):
        code, _, rest = part.strip().partition(";")
        quality = re.fullmatch(r"\s*q=(\d(?:\.\d+)?)", rest)
        found.append((-(float(quality[1]) if quality else 1.0), place, code.strip().replace("-", "_").casefold()))
    return [code for _, _, code in sorted(found) if code]


def _line(language: str) -> list[str]:
    """zh_CN, then zh."""
    parts = language.split("_")
    return ["_".join(parts[:end]) for end in range(len(parts), 0, -1)]


def texts_of(service: Service) -> dict[str, str]:
    """The English that records bring: labels and descriptions of parameters, tabs, stages, tasks, settings."""
    from gesso.types import CoreParams

    host = service.host
    found = dict(params_texts("core", CoreParams))
    for kind in ("tabs", "panels", "stages", "tasks"):
        found |= {f"{kind}.{item.name}": item.label for item in host.registry(kind)}
    for item in host.registry("params"):
        found |= {f"records.{item.name}": item.label, **params_texts(f"params.{item.name}", item.params)}
        if item.group:
            found[f"groups.{item.group}"] = item.group
    titles = {section.name: section.label for section in host.registry("settings")}
    for name, record in service.sections().items():
        found |= {f"sections.{name}": titles.get(name, name), **params_texts(f"settings.{name}", record)}
    for slot in ("sampler", "scheduler", "guider"):
        for item in host.registry(f"{slot}s"):
            found |= params_texts(f"params.{slot}", item.options) if item.options else {}
    return found


def params_texts(prefix: str, record: type[Params]) -> dict[str, str]:
    """Label and description of every field of a record: "prefix.field" and "prefix.field.info"."""
    from gesso.params import fields, label_of

    found = {}
    for name, field, info in fields(record):
        found[f"{prefix}.{name}"] = label_of(name, info)
        if field.description:
            found[f"{prefix}.{name}.info"] = field.description
    return found


def choices_of(service: Service) -> set[str]:
    """The English of what fields offer to choose: they have no keys, and are translated by the English itself."""
    from gesso.params import fields

    records = [*(item.params for item in service.host.registry("params")), *service.sections().values()]
    found = set()
    for record in records:
        for _, field, info in fields(record):
            literal = typing.get_args(field.annotation) if typing.get_origin(field.annotation) is typing.Literal else ()
            found |= {str(choice) for choice in (info.choices if isinstance(info.choices, tuple) else ()) or literal}
    return found
