"""Which plugin is guilty? Half of the suspects at a time: at most log2 n + 2 runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gesso.errors import GessoError
from gesso.files import write_whole

Ask = Callable[[Sequence[str]], bool]
"""Given the plugins that are left out: is the fault there?"""


@dataclass
class Answers:
    """What came of the runs so far, kept in a file so that a search can be broken off and gone on with."""

    path: Path
    suspects: tuple[str, ...]
    told: list[tuple[tuple[str, ...], bool]] = field(default_factory=list)
    """(plugins left out, whether the fault was there) of each run."""

    @classmethod
    def load(cls, path: Path, suspects: Sequence[str]) -> Answers:
        """The answers given so far, none when they are about other plugins."""
        try:
            data = json.loads(path.read_bytes())
            if tuple(data["suspects"]) == tuple(suspects):
                return cls(path, tuple(suspects), [(tuple(without), bool(bad)) for without, bad in data["told"]])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return cls(path, tuple(suspects))

    def ask(self, without: Sequence[str], ask: Ask) -> bool:
        """The answer given before, else a new one, which is kept."""
        wanted = tuple(without)
        for known, bad in self.told:
            if known == wanted:
                return bad
        bad = ask(wanted)
        self.told.append((wanted, bad))
        write_whole(self.path, json.dumps({"suspects": self.suspects, "told": self.told}, indent=1) + "\n")
        return bad

    def forget(self) -> None:
        """The search is over."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Verdict:
    """Who is guilty, after how many runs; `alone`: whether the fault was seen with it as the only one."""

    guilty: str
    runs: int
    alone: bool


class NotFoundError(GessoError):
    """No plugin is guilty, or not one alone."""


def find_guilty(answers: Answers, ask: Ask) -> Verdict:
    """Ask with half of the suspects left out until one remains. NotFoundError when it is none of them."""
    suspects = list(answers.suspects)
    if not suspects:
        raise NotFoundError("No plugin is installed beside gesso's own, so it is none of them.", hint="gesso doctor")
    if not answers.ask((), ask):
        raise NotFoundError("The fault is not there with all plugins loaded, so there is nothing to search for.")
    if answers.ask(tuple(suspects), ask):
        raise NotFoundError(
            "The fault is there without any plugin beside gesso's own: it is none of them.", hint="gesso doctor"
        )
    alone = len(suspects) == 1
    left = suspects
    while len(left) > 1:
        half = left[: len(left) // 2]
        bad = answers.ask(tuple(name for name in suspects if name not in half), ask)
        left = half if bad else left[len(half) :]
        alone = bad and len(left) == 1
    return Verdict(left[0], len(answers.told), alone)
