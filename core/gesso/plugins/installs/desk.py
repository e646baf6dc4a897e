"""Changes of what is installed that a page asks for: each looked up, shown, agreed to and made in a thread."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gesso.errors import GessoError, InvalidInputError, UnknownNameError
from gesso.paths import Paths
from gesso.plugins.installs.errors import InstallError
from gesso.plugins.installs.journal import Journal
from gesso.plugins.installs.manage import Installer
from gesso.plugins.installs.proposal import Proposal
from gesso.plugins.installs.standing import Standing

log = logging.getLogger("gesso.plugins")
ACTIONS = ("install", "update", "uninstall", "rollback")
KEPT = 16
"""Changes that are remembered; older ones stand in the history."""
Phase = Literal["looking", "proposed", "nothing", "changing", "done", "failed", "dropped"]


@dataclass
class InstallWork:
    """One change, from the asking to its end."""

    id: int
    action: str
    names: tuple[str, ...]
    installer: Installer
    phase: Phase = "looking"
    lines: list[str] = field(default_factory=list)
    """What it has been doing."""
    proposal: Proposal | None = None
    error: str = ""

    def for_people(self) -> dict[str, Any]:
        """As JSON. `proposal` is what would change, as `gesso plugins install --json` prints it."""
        return {
            "id": self.id, "action": self.action, "names": list(self.names), "phase": self.phase,
            "lines": list(self.lines), "error": self.error,
            "proposal": self.proposal.for_people() if self.proposal else None,
        }  # fmt: skip


class InstallDesk:
    """What a service's page may change. One change at a time; RefusedError for a session that may not.

    A thread that the host's end cuts off leaves the old state or the new, as `Installer.apply` promises.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._works: dict[int, InstallWork] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def begin(self, standing: Standing, action: str, names: Sequence[str] = (), *, index: str = "") -> InstallWork:
        """Look what a change would do; nothing is changed yet. Returns at once, `get` tells how far it is."""
        if action not in ACTIONS:
            raise UnknownNameError("change", action, ACTIONS)
        standing.require(action)
        names = tuple(name.strip() for name in names if name.strip())
        if not names and action in ("install", "uninstall"):
            raise InvalidInputError(f"Nothing is named to {action}.")
        lines: list[str] = []
        installer = Installer(self._paths, standing, told=lines.append)
        work = InstallWork(next(self._ids), action, names, installer, lines=lines)
        with self._lock:
            self._make_room()
            self._works[work.id] = work
        self._in_thread(work, lambda: self._look(work, index))
        return work

    def _make_room(self) -> None:
        busy = next((w for w in self._works.values() if w.phase in ("looking", "changing")), None)
        if busy is not None:
            raise InstallError(f"Another change is under way: {' '.join((busy.action, *busy.names))}.")
        for work in self._works.values():
            if work.phase == "proposed":
                work.phase = "dropped"
        while len(self._works) >= KEPT:
            del self._works[min(self._works)]

    def get(self, id_: int) -> InstallWork:
        """One change; InvalidInputError for one that is not known."""
        if id_ not in self._works:
            raise InvalidInputError(f"There is no change {id_} under way.")
        return self._works[id_]

    def apply(self, standing: Standing, id_: int) -> InstallWork:
        """Make the change that was proposed. Returns at once."""
        work = self.get(id_)
        standing.require(work.action)
        with self._lock:
            if work.phase != "proposed":
                raise InstallError(f"The change {id_} cannot be made: it is {work.phase}.")
            work.phase = "changing"
        self._in_thread(work, lambda: self._change(work))
        return work

    def history(self) -> list[dict[str, Any]]:
        """What was changed, oldest first, as `gesso plugins history --json` prints it."""
        return [change.for_people() for change in Journal().history()]

    def _look(self, work: InstallWork, index: str) -> None:
        propose: Mapping[str, Callable[[], Proposal]] = {
            "install": lambda: work.installer.propose_install(work.names, index=index),
            "update": lambda: work.installer.propose_update(work.names, index=index),
            "uninstall": lambda: work.installer.propose_uninstall(work.names),
            "rollback": lambda: work.installer.propose_rollback(_number(work.names)),
        }
        work.proposal = propose[work.action]()
        work.phase = "proposed" if work.proposal.rows else "nothing"

    def _change(self, work: InstallWork) -> None:
        assert work.proposal is not None
        work.installer.apply(work.proposal)
        work.phase = "done"

    def _in_thread(self, work: InstallWork, part: Callable[[], None]) -> None:
        def run() -> None:
            try:
                part()
            except GessoError as error:
                work.error, work.phase = str(error), "failed"
            except Exception as error:
                log.exception("A change of what is installed failed.")
                work.error, work.phase = f"{type(error).__name__}: {error}", "failed"

        threading.Thread(target=run, name=f"installs {work.id}", daemon=True).start()


def _number(names: Sequence[str]) -> int | None:
    """The change to go back to before; None for the last."""
    if not names:
        return None
    if not names[0].isdecimal():
        raise InvalidInputError(f"{names[0]!r} is not the number of a change.")
    return int(names[0])
