"""What the checks look at: one plugin, imported in children of its own and loaded here beside the built-ins."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

from gesso import Lazy, Params
from gesso.testing import Contents, Installed, Observation, PatchWatch, arrangements, contents, find_plugins, observe
from gesso.testing.hosts import load_host, registered
from gesso_smoke.rules import BrokenRuleError, Needs


class Subject:
    """One plugin under test. Everything is found out once, on first use; `close` lets go of it."""

    def __init__(
        self,
        plugin: str,
        *,
        plugins_dir: Path | None = None,
        together: list[Contents] | None = None,
        old_records: Mapping[str, Mapping[int, list[dict[str, Any]]]] | None = None,
        weights: Mapping[str, tuple[Any, Any]] | None = None,
        watch: PatchWatch | None = None,
    ) -> None:
        """`old_records`: record name → version → stored data; `weights`: format → (Weight, its values as a tensor)."""
        (self.installed,) = find_plugins([plugin], plugins_dir=plugins_dir)
        self.plugins_dir = plugins_dir
        self.old_records = old_records or {}
        self.weights = weights or {}
        self.watch = watch
        self._together = together
        self._stack = ExitStack()

    def close(self) -> None:
        """Let go of the host."""
        self._stack.close()

    @property
    def id(self) -> str:
        return self.installed.id

    @cached_property
    def observation(self) -> Observation:
        """One import in a fresh process."""
        return observe(self.id, plugins_dir=self.plugins_dir)

    @cached_property
    def together(self) -> list[Contents]:
        """All installed plugins: in the usual order, then in two random ones."""
        if self._together is None:
            self._together = arrangements(plugins_dir=self.plugins_dir)
        return self._together

    @cached_property
    def bare(self) -> Contents:
        """The built-ins without this plugin, seen before it is loaded here."""
        with load_host(["builtin"], without=[self.id], plugins_dir=self.plugins_dir) as host:
            return contents(host)

    @cached_property
    def host(self) -> Any:
        """The built-ins and this plugin."""
        self.bare  # noqa: B018 - must be seen before
        return self._stack.enter_context(load_host(["builtin", self.id], plugins_dir=self.plugins_dir))

    @property
    def alone(self) -> Contents:
        """This plugin and nothing else, in a fresh process."""
        if self.observation.alone is None:
            raise BrokenRuleError("It cannot be imported: see the check probe.")
        return self.observation.alone

    @cached_property
    def records(self) -> dict[str, list[Any]]:
        """Registry → this plugin's records, beside the built-ins."""
        return registered(self.host, self.id)

    def problem(self, needs: Needs) -> str:
        """Why a check that needs this cannot be tried, "" when it can."""
        if needs == "nothing":
            return ""
        if self.observation.state != "enabled":
            return "It cannot be imported: see the check probe."
        if needs == "import":
            return ""
        state = self.alone.states[self.id]
        if state != "enabled":
            return "It does not register: see the check registers."
        return "" if self.host.state(self.id).state == "enabled" else "It clashes: see the check no_clashes."

    def items(self, of: str) -> list[tuple[str, Any]]:
        """(label, item) of everything a rule is tried on: the plugin itself, its parameter records, or its records."""
        if of == "plugin":
            return [("", self)]
        if of == "params":
            return list(self._parameters())
        return [(item.name, item) for item in self.records.get(of, ())]

    def _parameters(self) -> Iterator[tuple[str, type[Params]]]:
        """Every parameter record once: features', settings', and the options of samplers, schedules and guiders."""
        seen: set[type[Params]] = set()
        for registry, items in self.records.items():
            for item in items:
                record = getattr(item, "params", None) or getattr(item, "options", None)
                if isinstance(record, type) and issubclass(record, Params) and record not in seen:
                    seen.add(record)
                    yield f"{registry}.{item.name}", record

    @property
    def silent_records(self) -> set[type[Params]]:
        """Those that make no picture and so stand in no infotext: settings, formats' too, and what tasks are asked."""
        own = {item.params for registry in ("settings", "tasks") for item in self.records.get(registry, ())}
        return own | {item.options for item in self.records.get("formats", ()) if item.options is not None}


def references(record: Any, place: str = "") -> Iterator[tuple[str, Lazy[Any]]]:
    """(field path, reference) of every lazy reference in a record, those of its parts included."""
    if isinstance(record, Lazy):
        yield place, record
    elif isinstance(record, Mapping):
        for key, value in record.items():
            yield from references(value, f"{place}[{key}]")
    elif isinstance(record, (list, tuple)):
        for i, value in enumerate(record):
            yield from references(value, f"{place}[{i}]")
    elif dataclasses.is_dataclass(record) and not isinstance(record, type):
        for field in dataclasses.fields(record):
            yield from references(getattr(record, field.name), f"{place}.{field.name}".lstrip("."))


def signature_problem(target: Any, contract: Any) -> str:
    """How a callable's signature differs from its contract's, "" when a caller of the contract can call it."""
    if isinstance(contract, type) and getattr(contract, "_is_protocol", False) and "__call__" in vars(contract):
        wanted = [p for p in inspect.signature(contract.__call__).parameters.values() if p.name != "self"]
    elif typing.get_args(contract) and isinstance(typing.get_args(contract)[0], list):
        wanted = [
            inspect.Parameter(f"argument{i}", inspect.Parameter.POSITIONAL_ONLY)
            for i, _ in enumerate(typing.get_args(contract)[0])
        ]
    else:
        return "" if callable(target) or not isinstance(contract, type) else f"{target!r} cannot be called"
    if not callable(target):
        return f"{target!r} cannot be called"
    shown = f"({', '.join(p.name for p in wanted)})"
    try:
        found = inspect.signature(target)
        positional = [p for p in wanted if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        found.bind(*positional, **{p.name: p for p in wanted if p.kind is inspect.Parameter.KEYWORD_ONLY})
    except (TypeError, ValueError) as error:
        return f"it is called with {shown}: {error}"
    named = [p.name for p in positional if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    own = [p for p in found.parameters.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in own):
        return ""
    wrong = [(mine.name, name) for mine, name in zip(own, named, strict=False) if mine.name != name]
    return f"its argument {wrong[0][0]!r} is called {wrong[0][1]!r} in the contract {shown}" if wrong else ""


def code_problem(record: Any) -> str:
    """Why a record's code cannot be tried, "" when all of it loads and can be called as its contracts say."""
    for place, reference in references(record):
        try:
            target = reference.load()
        except BaseException as error:
            return f"{place} cannot be loaded ({error}): see the check lazy_resolves."
        if problem := signature_problem(target, reference.contract):
            return f"{place}: {problem}: see the check lazy_signatures."
    return ""


__all__ = ["Installed", "Subject", "code_problem", "references", "signature_problem"]
