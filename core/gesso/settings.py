"""Settings: records by section, kept whole in one JSON file. Torch-free."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, TypeVar

from gesso.errors import BadFileError, InvalidInputError
from gesso.files import write_whole
from gesso.params import Params, param

P = TypeVar("P", bound=Params)


class CoreSettings(Params):
    """What the program itself needs to know."""

    models_folder: str = param(
        "", label="Models folder", description="Empty: GESSO_HOME/models.", changes_picture=False
    )
    outputs_folder: str = param(
        "", label="Outputs folder", description="Empty: GESSO_HOME/outputs.", changes_picture=False
    )
    device: str = param("auto", label="Device", description="auto, cpu, cuda, cuda:1, mps.")
    dtype: str = param("auto", label="Number format", choices=("auto", "fp32", "bf16", "fp16"))
    operator: str = param(
        "",
        label="Weights held as",
        description="Empty: as the file holds them. An operator's name, such as fp8: made so when they are loaded.",
    )
    database_url: str = param(
        "",
        label="Database",
        description="Empty: SQLite in GESSO_HOME; postgresql://… for a server.",
        changes_picture=False,
    )
    models_in_memory: int = param(1, ge=1, le=16, label="Models kept in memory", changes_picture=False)
    trash_days: int = param(
        30, ge=0, le=3650, label="Keep deleted pictures", unit="days", changes_picture=False,
        description="After that a picture in the trash is deleted for good, at the next start. 0: never.",
    )  # fmt: skip


class Settings:
    """The settings file. Sections nobody claims are kept as they are, so a disabled plugin loses nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._data: dict[str, dict[str, Any]] = {}
        self._refresh()

    def _refresh(self) -> None:
        """Read the file if it changed: another process may have written it, and so may a person."""
        try:
            stat = self.path.stat()
            stamp: tuple[int, int] | None = (stat.st_mtime_ns, stat.st_size)
        except OSError:
            stamp = None
        with self._lock:
            if stamp != self._stamp or stamp is None:
                self._data, self._stamp = self._read(), stamp

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            data = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise BadFileError(
                f"The settings file {self.path} cannot be read: {error}.",
                hint="Mend it, or move it away to start afresh.",
            ) from None
        if not isinstance(data, dict) or not all(isinstance(v, dict) for v in data.values()):
            raise InvalidInputError(f"The settings file {self.path} is not an object of sections.")
        return data

    def section(self, name: str, record: type[P]) -> P:
        """A section as its record, as the file says now; defaults where it says nothing."""
        self._refresh()
        data = dict(self._data.get(name, {}))
        version = data.pop("version", None)
        return record.parse(data, version=version, where=name)

    def save(self, name: str, record: Params) -> None:
        """Store what differs from the defaults, with the record's version."""
        self._refresh()
        values = record.model_dump(mode="json", exclude_defaults=True)
        data = {**self._data, name: {"version": type(record).version, **values}}
        write_whole(self.path, json.dumps(data, indent=2, sort_keys=True))
        self._refresh()
