"""Every error gesso shows to a person: one sentence that says what is wrong and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GessoError(Exception):
    """Base of all errors meant for people. `exit_code` is what the command line returns."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.hint = hint


class InvalidInputError(GessoError):
    """A value, a file or a request that cannot be used as given."""

    exit_code = 2


class UnknownNameError(InvalidInputError):
    """A name nothing answers to; lists near matches."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = list(dict.fromkeys(known))
        near = near_matches(name, names)
        hint = (
            f"Did you mean {' or '.join(repr(n) for n in near)}?" if near else f"Known: {', '.join(names) or 'none'}."
        )
        super().__init__(f"Unknown {kind} {name!r}.", hint=hint)
        self.kind, self.name, self.near = kind, name, near


class BadFileError(InvalidInputError):
    """A file that is damaged, hostile or of a kind that is refused."""


class RegistrationError(GessoError):
    """A contribution that cannot be registered; names both owners."""


class LazyReferenceError(GessoError):
    """A `gesso.lazy` reference that does not resolve to what it promises; `module` is the one it names."""

    module = ""


class JobCancelledError(GessoError):
    """The job was dropped on request. Finished files stay, the rest is undone."""

    exit_code = 130


def near_matches(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` of `known` that look like `name`, compared without case."""
    by_fold: dict[str, str] = {}
    for spelling in known:
        by_fold.setdefault(spelling.casefold(), spelling)
    return [by_fold[m] for m in difflib.get_close_matches(name.casefold(), by_fold, n=count, cutoff=0.5)]
