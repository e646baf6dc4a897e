"""What of the plugin API will go: named here, it still works, and says at its use who uses it and what to do.

An entry needs a page `docs/plugin_author/retired/NAME.md` with code before and after, and a test of its own; a test
holds both to the tables. How long things stay is said in docs/plugin_author/compatibility.md.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


class GessoDeprecationWarning(FutureWarning):
    """Something of the plugin API will go. Each release that removes things has a class of its own below this one."""


@dataclass(frozen=True)
class Retirement:
    """What goes, when, and what to use."""

    what: str
    """As people read it: "The hook gesso_filter_x"."""
    until: str
    """The release in which it is gone."""
    instead: str
    """A sentence: "Use gesso_filter_y, which is given the request as well."."""
    replaced_by: str = ""
    """For a public name: the "module:attribute" that stands in for it meanwhile."""
    category: type[GessoDeprecationWarning] = GessoDeprecationWarning

    def __str__(self) -> str:
        return f"{self.what} goes in gesso {self.until}. {self.instead}"

    def warning(self) -> GessoDeprecationWarning:
        return self.category(str(self))


NAMES: dict[str, Retirement] = {}
"""Public names of `gesso`."""
HOOKS: dict[str, Retirement] = {}
ARGUMENTS: dict[str, dict[str, Retirement]] = {}
"""Hook → argument → its retirement."""


def name_of(name: str) -> Any:
    """What stands in for a retired public name; warns at the place that uses it. KeyError: it is not retired."""
    retirement = NAMES[name]
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    warnings.warn_explicit(retirement.warning(), None, frame.f_code.co_filename, frame.f_lineno)
    module, _, attribute = retirement.replaced_by.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("gesso", "importlib")


def on_hook(name: str) -> Mapping[str, Any]:
    """pluggy's options for a hookspec: it warns when a plugin implements the hook or names the argument."""
    options: dict[str, Any] = {}
    if name in HOOKS:
        options["warn_on_impl"] = HOOKS[name].warning()
    if name in ARGUMENTS:
        options["warn_on_impl_args"] = {argument: r.warning() for argument, r in ARGUMENTS[name].items()}
    return options


@contextmanager
def noted() -> Iterator[list[str]]:
    """Collects what is said of retired things meanwhile, as "text (file:line)"; other warnings go their way."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GessoDeprecationWarning)
        try:
            yield said
        finally:
            for warning in caught:
                if issubclass(warning.category, GessoDeprecationWarning):
                    text = f"{warning.message} ({warning.filename}:{warning.lineno})"
                    said += [text] if text not in said else []
    for warning in caught:
        if not issubclass(warning.category, GessoDeprecationWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def of_api(api: str, supported: tuple[str, ...]) -> str:
    """What to say of a plugin that is written for an earlier plugin API than the newest, "" for the newest."""
    if api == supported[-1]:
        return ""
    return (
        f"It is written for plugin API {api}; this gesso speaks {supported[-1]}. It works on until the next one: "
        "see docs/plugin_author/compatibility.md."
    )
