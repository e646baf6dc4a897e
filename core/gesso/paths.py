"""Where things are on disk. Everything of a person's stands under one folder: GESSO_HOME."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def home_folder(given: Path | str | None = None) -> Path:
    """The data folder: `given`, else $GESSO_HOME, else the platform's user data folder. Absolute; it need not exist."""
    value = given or os.environ.get("GESSO_HOME", "")
    if value:
        return Path(os.path.abspath(os.path.expanduser(value)))  # noqa: PTH100, PTH111 - keeps links as they are
    import platformdirs  # 5 ms that GESSO_HOME saves

    return Path(platformdirs.user_data_dir("gesso", appauthor=False))


@dataclass(frozen=True)
class Paths:
    """The folders and files under one GESSO_HOME. Nothing is made until it is written to."""

    home: Path

    @classmethod
    def of(cls, home: Path | str | None = None) -> Paths:
        """Paths under `home`; None takes $GESSO_HOME or the platform's folder."""
        return cls(home_folder(home))

    @property
    def settings(self) -> Path:
        """Settings files, one per subject."""
        return self.home / "settings"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.home / "gesso.sqlite3"

    @property
    def models(self) -> Path:
        """Model files, in one folder per role."""
        return self.home / "models"

    @property
    def outputs(self) -> Path:
        """Pictures and videos that were made."""
        return self.home / "outputs"

    @property
    def cache(self) -> Path:
        """What can be made again."""
        return self.home / "cache"

    @property
    def logs(self) -> Path:
        """Log files of host and worker."""
        return self.home / "logs"

    @property
    def plugin_cache(self) -> Path:
        """What the probe found out about each plugin."""
        return self.home / "plugins.cache.json"

    @property
    def plugin_marks(self) -> Path:
        """One file per process that is loading plugins; what is left over tells of a crash."""
        return self.cache / "loading"

    @property
    def plugin_settings(self) -> Path:
        """Which plugins are disabled."""
        return self.settings / "plugins.json"

    @property
    def plugin_blocks(self) -> Path:
        """Which plugins are blocked, and by whom."""
        return self.settings / "plugins.blocked.json"

    @property
    def plugin_data(self) -> Path:
        """What plugins keep, one folder for each distribution."""
        return self.home / "plugins"
