"""Typed references to heavy code, resolved in the worker on first use."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any, Generic, TypeVar, cast

from gesso.errors import LazyReferenceError

T = TypeVar("T")


class Lazy(Generic[T]):
    """`module:attribute`, imported when `load()` is first called. Made by `gesso.lazy`."""

    __slots__ = ("_value", "attribute", "contract", "module")

    def __init__(self, module: str, attribute: str, contract: type[T]) -> None:
        self.module, self.attribute, self.contract = module, attribute, contract
        self._value: T | None = None

    def load(self) -> T:
        """Import and return the object; LazyReferenceError names the reference when that fails."""
        if self._value is None:
            try:
                self._value = cast(T, getattr(importlib.import_module(self.module), self.attribute))
            except Exception as error:
                failure = LazyReferenceError(f"Cannot load {self}: {type(error).__name__}: {error}.")
                failure.module = self.module
                raise failure from error
        return self._value

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}"

    def __repr__(self) -> str:
        return f"lazy({str(self)!r}, {getattr(self.contract, '__name__', self.contract)})"


def lazy(reference: str, contract: type[T]) -> Lazy[T]:
    """A reference such as `".sampling:euler"`, relative to the calling module's package.

    `contract` is the callable protocol (or class) the object must satisfy; the smoke suite compares signatures.
    """
    module, _, attribute = reference.partition(":")
    if not module or not attribute:
        raise LazyReferenceError(f"{reference!r} is not of the form 'package.module:attribute'.")
    if module.startswith("."):
        caller: dict[str, Any] = sys._getframe(1).f_globals
        package = caller.get("__package__") or caller.get("__name__", "")
        module = importlib.util.resolve_name(module, package)
    return Lazy(module, attribute, contract)
