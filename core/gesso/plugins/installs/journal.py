"""The journal of an environment: what was changed, from which state to which, and whether a change came to its end.

It lies beside what it describes, in `<environment>/gesso-plugins/`, and not in the data folder: one data folder may
serve several environments, and an environment that is made anew starts with an empty history.

    pending.json       the change that is under way; written before anything is touched, removed when all is well
    changes/<id>.json  changes that have ended, done or undone
    trees/             the files of every distribution a kept change put in or took out

A pending change whose process is gone is undone, whatever it had come to: its old files are all kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gesso.errors import GessoError
from gesso.files import write_whole
from gesso.plugins.installs.errors import InstallError

FOLDER = "gesso-plugins"
KEPT = 30
"""Ended changes whose files are kept, so that they can be taken back."""
WAIT_SECONDS = 120.0
TRIAL = "GESSO_PLUGIN_TRIAL"
"""Set in the processes that try a new plugin out: they must see the environment as it is now."""
Phase = Literal["exchange", "trial", "done", "undone"]

log = logging.getLogger("gesso.plugins")


@dataclass(frozen=True)
class Locked:
    """One line of a lock: an installed distribution that is no part of the core."""

    version: str
    sha256: str = ""
    """Of the wheel it came from; "" for one that was not installed by gesso."""
    tree: str = ""
    """Its files; known for what the change itself puts in or takes out."""


Lock = Mapping[str, Locked]


@dataclass(frozen=True)
class Change:
    """One change of what is installed. `before` and `after` are complete locks, written before anything is changed."""

    id: int
    what: str
    """The command, such as "install gesso-halfway"."""
    at: str
    phase: Phase
    before: Lock
    after: Lock
    sources: Mapping[str, str] = field(default_factory=dict)
    """Distribution → what was asked for to get it: a name, a path, an address."""
    plugins: tuple[str, ...] = ()
    """`dist:name` of the plugins it brings."""
    reason: str = ""
    """Why it was undone."""

    @property
    def removed(self) -> list[str]:
        """Trees it takes out."""
        return [row.tree for name, row in self.before.items() if row.tree and row != self.after.get(name)]

    @property
    def added(self) -> list[str]:
        """Trees it puts in."""
        return [row.tree for name, row in self.after.items() if row.tree and row != self.before.get(name)]

    @property
    def touched(self) -> list[str]:
        """Names of the distributions it changes."""
        return [name for name in {**self.before, **self.after} if self.before.get(name) != self.after.get(name)]

    def for_people(self) -> dict[str, Any]:
        """What `history --json` prints: the locks' differences alone."""
        none = Locked("")
        changes = [
            {"name": name, "from": self.before.get(name, none).version, "to": self.after.get(name, none).version}
            for name in self.touched
        ]
        return {
            "id": self.id, "what": self.what, "at": self.at, "phase": self.phase, "changes": changes,
            "reason": self.reason,
        }  # fmt: skip


def now() -> str:
    """The time as the journal writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Journal:
    """The journal of the environment at `prefix`."""

    def __init__(self, prefix: Path | None = None) -> None:
        from gesso.plugins.installs.trees import TreeStore

        self.prefix = prefix or Path(sys.prefix)
        self.folder = self.prefix / FOLDER
        self.pending = self.folder / "pending.json"
        self.trees = TreeStore(self.folder / "trees", self.prefix)

    @contextlib.contextmanager
    def locked(self, seconds: float = WAIT_SECONDS) -> Iterator[None]:
        """One change at a time. InstallError when another one goes on too long or the folder cannot be written."""
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / "lock")
            lock.acquire(timeout=seconds)
        except Timeout:
            raise InstallError(
                "Another gesso is changing what is installed.", hint="Wait until it has ended."
            ) from None
        except OSError as error:
            raise InstallError(f"This environment cannot be changed: {self.folder}: {error.strerror}.") from error
        try:
            yield
        finally:
            lock.release()

    # --- reading --------------------------------------------------------------------------------------------------

    def history(self) -> list[Change]:
        """Ended changes, oldest first; unreadable ones are left out."""
        paths = (self.folder / "changes").glob("*.json") if self.folder.is_dir() else ()
        found = [change for path in paths if (change := _read(path)) is not None]
        return sorted(found, key=lambda change: change.id)

    def done(self) -> list[Change]:
        """Changes that hold, oldest first."""
        return [change for change in self.history() if change.phase == "done"]

    def next_id(self) -> int:
        return max((change.id for change in self.history()), default=0) + 1

    def wheel_hashes(self) -> dict[tuple[str, str], str]:
        """(name, version) → sha256 of the wheel, of everything installed from here."""
        return {
            (name, row.version): row.sha256 for c in self.done() for name, row in c.after.items() if row.sha256
        }  # fmt: skip

    # --- writing --------------------------------------------------------------------------------------------------

    def begin(self, change: Change) -> None:
        """Write the change down and exchange the files. When that fails it is undone."""
        self.write(change)
        try:
            self.trees.exchange(*self._trees(change))
        except BaseException as error:
            self.undo(change, f"{type(error).__name__}: {error}")
            if isinstance(error, OSError):
                raise InstallError(f"The files cannot be exchanged: {error}. The environment is as it was.") from error
            raise

    def write(self, change: Change) -> None:
        """The pending change as it stands now."""
        write_whole(self.pending, _json(change))

    def end(self, change: Change) -> Change:
        """The change is done."""
        return self._close(dataclasses.replace(change, phase="done"))

    def undo(self, change: Change, reason: str) -> Change:
        """Put the old files back. May be repeated."""
        old, new = self._trees(change)
        self.trees.exchange(new, old)
        return self._close(dataclasses.replace(change, phase="undone", reason=reason))

    def _trees(self, change: Change) -> tuple[list[Any], list[Any]]:
        return [self.trees.get(id_) for id_ in change.removed], [self.trees.get(id_) for id_ in change.added]

    def _close(self, change: Change) -> Change:
        write_whole(self.folder / "changes" / f"{change.id}.json", _json(change))
        self.pending.unlink(missing_ok=True)
        importlib.invalidate_caches()
        self._prune()
        return change

    def _prune(self) -> None:
        history = self.history()
        for change in history[:-KEPT]:
            (self.folder / "changes" / f"{change.id}.json").unlink(missing_ok=True)
        self.trees.prune(id_ for change in history[-KEPT:] for id_ in (*change.removed, *change.added))

    # --- after a crash --------------------------------------------------------------------------------------------

    def settle(self) -> Change | None:
        """Undo a change whose process is gone; None when there is none, or when it is under way and files are whole."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (change := _read(self.pending)) is not None:
            try:
                with self.locked(0):
                    return self._settle()
            except InstallError:
                # Its process lives. On trial the environment is whole, in its new state; before, it may not be.
                if change.phase == "trial" or time.monotonic() > deadline:
                    return None
                time.sleep(0.05)
        return None

    def _settle(self) -> Change | None:
        change = _read(self.pending)
        if change is None:
            self.pending.unlink(missing_ok=True)
            return None
        ended = _read(self.folder / "changes" / f"{change.id}.json")
        if ended is not None and ended.at == change.at:  # killed between the last two steps
            self.pending.unlink()
            return None
        return self.undo(change, "It was cut short.")


def settle(prefix: Path | None = None) -> None:
    """Make the environment whole before anybody looks at what is installed. Costs one look at a file that is not there.

    Never raises: what cannot be mended now is logged.
    """
    if not os.path.exists(f"{prefix or sys.prefix}/{FOLDER}/pending.json") or os.environ.get(TRIAL):  # noqa: PTH110
        return
    try:
        undone = Journal(prefix).settle()
    except (GessoError, OSError) as error:
        log.warning("An install was cut short and cannot be undone now: %s", error)
        return
    if undone is not None:
        log.warning("%r was cut short and has been undone; the environment is as it was before.", undone.what)


def _json(change: Change) -> str:
    return json.dumps(dataclasses.asdict(change), indent=1)


def _read(path: Path) -> Change | None:
    try:
        data = json.loads(path.read_bytes())
        for side in ("before", "after"):
            data[side] = {name: Locked(**row) for name, row in data[side].items()}
        return Change(**{**data, "plugins": tuple(data["plugins"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
