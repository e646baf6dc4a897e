"""One host per data folder: a second one learns who the first is and where it answers."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gesso.errors import GessoError
from gesso.files import write_whole
from gesso.store.errors import from_file

GRACE_S = 1.0
"""How long a start waits: a dying host lets go within that, and `HostLock.holder` holds the lock for an instant."""


@dataclass(frozen=True, slots=True)
class HostInfo:
    """Who holds a data folder. `url` is "" until the page answers, or when the host has none."""

    pid: int
    url: str
    started: float
    machine: str
    token: str = ""
    """A secret that lets programs of the same user attach without a password; the file is readable by them alone."""


class AnotherHostError(GessoError):
    """The data folder is held by another process; `info` says by which."""

    exit_code = 3

    def __init__(self, home: Path, info: HostInfo | None) -> None:
        who = f"process {info.pid} on {info.machine}" if info else "a process that is just starting"
        message = f"Another gesso ({who}) works with the data folder {home}."
        if info and info.url:
            hint = f"Attach to it: open {info.url}, or run `gesso generate`, which hands its job to it."
        else:
            hint = "Wait until it has started or ended, or choose another folder (GESSO_HOME)."
        super().__init__(message, hint=hint)
        self.info = info


class HostLock:
    """The lock on a data folder. The system drops it when the process dies, however it dies."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._lock = FileLock(home / "host.lock", thread_local=False)
        self._info: HostInfo | None = None

    @property
    def worker_prefix(self) -> str:
        """What names of this folder's workers begin with: the same for each host that follows on this folder."""
        return "host-" + hashlib.sha256(f"{platform.node()}:{os.path.realpath(self.home)}".encode()).hexdigest()[:12]

    def acquire(self, timeout: float = GRACE_S) -> HostLock:
        """Become the host of the folder. AnotherHostError when another is; StorageError: not writable."""
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=timeout)
        except Timeout:
            raise AnotherHostError(self.home, _read(self.home)) from None
        except OSError as error:
            raise from_file(error, self.home) from error
        self._write(HostInfo(os.getpid(), "", time.time(), platform.node()))
        return self

    def tell(self, url: str, token: str = "") -> None:
        """Say where this host answers, so that others can attach."""
        assert self._info is not None, "acquire first"
        self._write(HostInfo(self._info.pid, url, self._info.started, self._info.machine, token))

    def _write(self, info: HostInfo) -> None:
        path = _path(self.home)
        try:
            path.touch(mode=0o600)
            write_whole(path, json.dumps(asdict(info)))
        except OSError as error:
            raise from_file(error, path) from error
        self._info = info

    def release(self) -> None:
        """Let others have the folder."""
        if self._lock.is_locked:
            _path(self.home).unlink(missing_ok=True)
            self._lock.release()

    def __enter__(self) -> HostLock:
        return self if self._lock.is_locked else self.acquire()

    def __exit__(self, *_: Any) -> None:
        self.release()

    @staticmethod
    def holder(home: Path) -> HostInfo | None:
        """The living host of a data folder; None when there is none, whatever a dead one left."""
        if not (home / "host.lock").exists():
            return None
        probe = FileLock(home / "host.lock", thread_local=False)
        try:
            probe.acquire(timeout=0)
        except Timeout:
            return _read(home)
        except OSError as error:
            raise from_file(error, home) from error
        probe.release()
        return None


def _path(home: Path) -> Path:
    return home / "host.json"


def _read(home: Path) -> HostInfo | None:
    try:
        return HostInfo(**json.loads(_path(home).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
