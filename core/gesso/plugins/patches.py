"""Notices when functions, methods or classes that everybody uses are replaced, and puts them back."""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType
from typing import Any, NamedTuple

from gesso.errors import GessoError

LIGHT = (
    "builtins", "os", "json", "pathlib", "random", "subprocess", "threading", "time", "PIL.Image", "gesso.registry",
    "gesso.contributions", "gesso.hookspecs", "gesso.params", "gesso.types", "gesso.metadata.infotext",
)  # fmt: skip
NN = (
    "torch.nn", "torch.nn.functional", "torch.nn.modules.module", "torch.nn.modules.linear", "torch.nn.modules.conv",
    "torch.nn.modules.normalization", "torch.nn.modules.activation", "torch.nn.modules.sparse", "torch.nn.init",
    "gesso.engine.denoise", "gesso.engine.noise", "gesso.engine.sampling", "gesso.engine.context", "gesso.models.model",
)  # fmt: skip
TORCH = ("numpy", "safetensors.torch", "torch", *NN)
"""All of it takes 2 ms to look through, most of it for `torch` alone: for tests. A running host watches `NN`."""
GRADIO = ("gradio", "gradio.components", "gradio.blocks")
_KINDS = (FunctionType, BuiltinFunctionType, MethodDescriptorType, type)

Key = tuple[Any, str]


class MonkeyPatchError(GessoError):
    """A plugin replaced functions of modules that others use."""

    def __init__(self, labels: Iterable[str]) -> None:
        super().__init__(f"It replaces {', '.join(sorted(labels))} for everybody.", hint="Use hooks instead.")


class Patch(NamedTuple):
    """Something that has been replaced, such as "torch.nn.modules.linear.Linear.forward", and whose code is there."""

    label: str
    module: str
    """The module of the new code, "" when it cannot be told."""


class PatchWatch:
    """Remembers what modules hold, from the moment they are added."""

    def __init__(self, modules: Iterable[str] = ()) -> None:
        self._before: dict[Key, Any] = {}
        self._known: set[str] = set()
        for name in modules:
            importlib.import_module(name)
        self.add(modules)

    def add(self, modules: Iterable[str]) -> None:
        """Watch these as well, as far as they are imported by now."""
        for name in modules:
            if name not in self._known and name in sys.modules:
                self._known.add(name)
                self._before |= dict(_callables(sys.modules[name]))

    def changed(self) -> list[str]:
        """Names of what has been replaced."""
        return sorted({_label(*key) for key in self._changed()})

    def patches(self) -> list[tuple[Key, Patch]]:
        """What has been replaced, and by whom."""
        return [(key, Patch(_label(*key), module_of(vars(key[0]).get(key[1])))) for key in self._changed()]

    def restore(self, keys: Iterable[Key] | None = None) -> None:
        """Put back what was replaced; all of it unless `keys` are given."""
        for holder, name in list(self._changed()) if keys is None else keys:
            setattr(holder, name, self._before[holder, name])

    def _changed(self) -> Iterator[Key]:
        for key, value in self._before.items():
            now = vars(key[0]).get(key[1], _GONE)
            if now is not value and KEEPER not in (module_of(now), module_of(value)) and not _own(key[0], now):
                yield key


_GONE = object()
KEEPER = "gesso.plugins.surroundings"
"""gesso itself keeps the standard streams from being closed while a host lives."""


def module_of(value: Any) -> str:
    """The module of the code behind a function or class; `functools.wraps` deceives it not."""
    while (inner := getattr(value, "func", None)) is not None and not isinstance(value, (FunctionType, type)):
        value = inner  # functools.partial
    names = getattr(value, "__globals__", None)
    module = names.get("__name__") if isinstance(names, dict) else getattr(value, "__module__", "")
    return str(module or "")


def _own(holder: Any, value: Any) -> bool:
    """Whether a library has replaced the thing itself, as torch does with a few functions when torch._dynamo comes in.

    The code's file tells; `functools.wraps` makes a stranger's function look like the original in all else.
    """
    home = sys.modules.get((holder.__module__ if isinstance(holder, type) else holder.__name__).partition(".")[0])
    code = getattr(value, "__code__", None)
    module = sys.modules.get(str(getattr(value, "__module__", "")))
    file = str(code.co_filename if code else getattr(module, "__file__", "") or "")
    folder = Path(getattr(home, "__file__", None) or "/").parent
    return home is not None and folder.name == home.__name__ and folder in Path(file).parents


def _label(holder: Any, name: str) -> str:
    owner = f"{holder.__module__}.{holder.__qualname__}" if isinstance(holder, type) else str(holder.__name__)
    return f"{owner}.{name}"


def _callables(module: Any) -> Iterator[tuple[Key, Any]]:
    """((holder, name), value) of a module's functions and classes, and of the methods of its own classes."""
    for name, value in list(vars(module).items()):
        if isinstance(value, _KINDS) and not _is_lazy(module, name):
            yield (module, name), value
        if isinstance(value, type) and _defines(module, value) and module is not builtins:
            for method, function in list(vars(value).items()):
                if isinstance(function, (FunctionType, MethodDescriptorType)):
                    yield (value, method), function


def _defines(module: Any, value: type) -> bool:
    """Gradio's components are known under the names `gradio` gives them, whatever file they lie in."""
    home = str(value.__module__)
    return home == module.__name__ or (module.__name__ == "gradio" and home.startswith("gradio."))


def _is_lazy(module: Any, name: str) -> bool:
    """A submodule of the same name replaces the function when it is imported, without anybody's patch."""
    return f"{module.__name__}.{name}" in sys.modules
