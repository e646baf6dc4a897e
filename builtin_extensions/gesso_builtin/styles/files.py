"""styles.csv as A1111 reads and writes it: columns name, prompt, negative_prompt; UTF-8 with a byte order mark."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gesso import BadFileError, InvalidInputError, Service, UnknownNameError
from gesso import write_whole as write_file

from .plugin import NAME, StylesSettings
from .texts import Style, applied, extracted

COLUMNS = ("name", "prompt", "negative_prompt")
MAX_BYTES = 32_000_000
Row = dict[str, str]


@dataclass(frozen=True)
class StyleBook:
    """All styles of all files. Of two with one name the later file's counts, as in A1111."""

    files: tuple[Path, ...]
    """The first is where new styles go; it need not exist."""
    styles: dict[str, Style]

    @classmethod
    def of(cls, service: Service) -> Self:
        """The styles of the files named in the settings."""
        return cls.read(paths(service.settings.section(NAME, StylesSettings).files, service.paths.home))

    @classmethod
    def read(cls, files: Sequence[Path]) -> Self:
        """The styles of these files; those that do not exist hold none."""
        styles = [
            Style(row["name"], row["prompt"], row["negative_prompt"], file)
            for file in files
            for row in read(file)
            if row["name"] and not row["name"].startswith("#")
        ]
        return cls(tuple(files), {style.name: style for style in styles})

    def get(self, name: str) -> Style:
        """The style of that name, upper and lower case aside; UnknownNameError with near matches."""
        by_fold = {known.casefold(): style for known, style in self.styles.items()}
        style = self.styles.get(name) or by_fold.get(name.casefold())
        if style is None:
            raise UnknownNameError("style", name, self.styles)
        return style

    def applied(self, names: Iterable[str], prompt: str, negative: str) -> tuple[str, str]:
        """Both prompts with the styles' texts."""
        for name in names:
            style = self.get(name)
            prompt, negative = applied(style.prompt, prompt), applied(style.negative_prompt, negative)
        return prompt, negative

    def extracted(self, prompt: str, negative: str) -> tuple[list[str], str, str]:
        """(names of the styles found, both prompts without their texts); putting them back gives the same prompts."""
        return extracted(list(self.styles.values()), prompt, negative)

    def add(self, style: Style, *, replace: bool = False) -> Path:
        """Put a style into its file, or into the first when it is new. InvalidInputError when the name is taken."""
        if not style.name.strip() or style.name.startswith("#"):
            raise InvalidInputError(f"{style.name!r} cannot be a style's name.", hint="A # would make it a comment.")
        known = self.styles.get(style.name)
        if known is not None and not replace:
            raise InvalidInputError(f"There is a style {style.name!r} already.", hint="Say --replace, or another name.")
        file = known.file if known is not None and known.file is not None else self.files[0]
        texts = {"name": style.name, "prompt": style.prompt, "negative_prompt": style.negative_prompt}
        rows = [{**row, **texts} if row["name"] == style.name else row for row in read(file)]
        write(file, rows if known is not None else [*rows, texts])
        return file

    def remove(self, name: str) -> Path:
        """Take a style out of its file."""
        style = self.get(name)
        assert style.file is not None
        write(style.file, [row for row in read(style.file) if row["name"] != style.name])
        return style.file


def choices(service: Service) -> Sequence[tuple[str, Any]]:
    """What the field offers; a file that cannot be read offers nothing, and says why when a style of it is used."""
    try:
        return [(name, name) for name in StyleBook.of(service).styles]
    except BadFileError:
        return []


def paths(names: Sequence[str], home: Path) -> list[Path]:
    """The files behind the setting, in order; a name with * stands for those there are."""
    found: list[Path] = []
    for name in names or ("styles.csv",):
        path = home / Path(name).expanduser()
        found += sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
    return list(dict.fromkeys(found))


def read(file: Path) -> list[Row]:
    """The rows of a file, comments (# before the name) and columns of others included; none when it does not exist.

    BadFileError for one that is no table of styles.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise BadFileError(f"{file} is too large for a list of styles.")
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(f"The styles file {file} cannot be read: {error}.", hint="Save it as UTF-8.") from None
    rows = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, restkey="", restval="")
    try:
        if text.strip() and "name" not in (rows.fieldnames or ()):
            raise BadFileError(f"{file} has no column 'name'.", hint=f"Its first line must be {','.join(COLUMNS)}.")
        return [_complete(row) for row in rows]
    except csv.Error as error:
        raise BadFileError(f"{file} cannot be read after line {rows.line_num}: {error}.") from None


def _complete(row: dict[str, Any]) -> Row:
    """A row with all columns. Files of A1111's first months call the prompt "text"."""
    texts = {column: cell for column, cell in row.items() if column and column != "text"}
    return {"name": "", "prompt": row.get("text", ""), "negative_prompt": "", **texts}


def write(file: Path, rows: Sequence[Row]) -> None:
    """The file with these rows, as A1111 writes it."""
    text = io.StringIO(newline="")
    columns = dict.fromkeys([*COLUMNS, *(column for row in rows for column in row)])
    writer = csv.DictWriter(text, list(columns), restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_file(file, text.getvalue().encode("utf-8-sig"))
