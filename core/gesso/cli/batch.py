"""`gesso generate --init-dir FOLDER`: the same request for every picture of a folder, whatever one of them comes to."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.cli.options import file_params, plugin_options
from gesso.errors import GessoError, InvalidInputError, JobCancelledError

if TYPE_CHECKING:
    from gesso.cli.generate import Bar
    from gesso.engine.control import Control
    from gesso.service import Result, Service

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff")


@dataclass
class Item:
    """One picture of the folder, what it is used with, and what came of it."""

    source: Path
    params: dict[str, dict[str, str]]
    problem: str = ""
    files: list[Path] = field(default_factory=list)


def items(service: Service, folders: Mapping[str, Path]) -> list[Item]:
    """A line for each picture of the first folder; the others give the file of the same name, or their only one."""
    options = plugin_options(service)
    (first, main), *others = folders.items()
    pictures = pictures_in(main)
    if not pictures:
        raise InvalidInputError(f"There is no picture in {main}.", hint=f"Looked for {', '.join(SUFFIXES)}.")
    beside = {flag: pictures_in(folder) for flag, folder in others}
    found = []
    for source in pictures:
        item = Item(source, {})
        for flag, path in [(first, source), *((flag, _beside(source, files)) for flag, files in beside.items())]:
            if path is None:
                item.problem = f"{folders[flag]} has no file called {source.stem}."
            else:
                item.params.setdefault(options[flag].section, {})[options[flag].name] = str(path)
        found.append(item)
    return found


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder by name; InvalidInputError when it is none."""
    try:
        return sorted(path for path in folder.expanduser().iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise InvalidInputError(f"{folder} cannot be read: {error.strerror or error}.") from None


def _beside(source: Path, files: list[Path]) -> Path | None:
    same = [path for path in files if path.stem == source.stem]
    return same[0] if same else files[0] if len(files) == 1 else None


def run_items(
    service: Service, given: Mapping[str, Any], todo: list[Item], out: Path | None, bar: Bar, control: Control
) -> None:
    """Run them one after another. A picture that cannot be used, or whose job fails, is noted; the next one begins."""
    if out is not None and out.suffix:
        raise InvalidInputError(f"{out} is no folder.", hint="With a folder of pictures, --out takes a folder.")
    batch = uuid.uuid4().hex
    for number, item in enumerate(todo, 1):
        if control.interrupted or control.cancelled:
            item.problem = item.problem or "Not begun: stopped before."
            continue
        bar.title = f"{item.source.name} ({number} of {len(todo)})"
        if item.problem:
            continue
        try:
            item.files = _run(service, given, item, batch, out, bar, control)
        except JobCancelledError:
            item.problem = "Stopped."
        except GessoError as error:
            item.problem = str(error)


def _run(
    service: Service, given: Mapping[str, Any], item: Item, batch: str, out: Path | None, bar: Bar, control: Control
) -> list[Path]:
    params = {section: dict(data) for section, data in given["params"].items()}
    for section, data in file_params(service, item.params).items():
        params.setdefault(section, {}).update(data)
    job = service.job(service.request({**given, "params": params}))
    job = job.model_copy(update={"parent": batch})
    result = service.run(job, bar.event, control)
    return service.save(result).files if out is None else _save(service, result, item.source, out)


def _save(service: Service, result: Result, source: Path, out: Path) -> list[Path]:
    """The pictures under their source's name in `out`, numbered where that is taken."""
    from gesso.files import write_new

    out.mkdir(parents=True, exist_ok=True)
    files = []
    for artifact in result.artifacts:
        data, suffix = service.file(artifact.file), service.writer.suffix(artifact.file.type)
        for path in (out / f"{source.stem}{'' if n == 0 else f'-{n}'}{suffix}" for n in range(100_000)):
            if os.path.lexists(path):
                continue
            with suppress(FileExistsError):
                write_new(path, data)
                files.append(path)
                break
    return files
