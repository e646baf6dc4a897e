"""Keeps torch and its like out of a process that serves the page: the import is the plugin's readable error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from gesso.plugins.boundary import HeavyImportError

HEAVY = frozenset({"torch", "diffusers", "transformers", "bitsandbytes"})
"""What the host process never imports."""
HEAVY_AT_IMPORT = HEAVY | {"gradio"}
"""What no plugin's entry-point module may import; `ui.py` imports gradio when its tab is built."""


def owner_of(module: str, owners: Mapping[str, str]) -> str:
    """The plugin to which a module belongs, by its own package or one above; "" for none."""
    while module and module not in owners:
        module = module.rpartition(".")[0]
    return owners.get(module, "")


class HeavyGuard(MetaPathFinder, Loader):
    """A finder that answers for heavy modules with a loader that refuses.

    `importlib.util.find_spec("torch")` still says that torch is installed; only importing it fails. What is already in
    sys.modules is not affected.
    """

    def __init__(
        self,
        names: Iterable[str] = HEAVY,
        *,
        owners: Mapping[str, str] | None = None,
        on_attempt: Callable[[str], None] | None = None,
        advice: str = "This process serves the page and has no torch; the worker process does.",
    ) -> None:
        self._names = frozenset(names)
        self._owners = owners if owners is not None else {}
        """Package → plugin id, to tell whose import it is."""
        self._on_attempt = on_attempt
        self._advice = advice

    def install(self) -> None:
        """Put the guard before all other finders."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Take the guard away again."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in self._names else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        if self._on_attempt is not None:
            self._on_attempt(spec.name)
        raise HeavyImportError(f"{self._importer()} imports {spec.name}. {self._advice}", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        raise HeavyImportError(module.__name__)  # never reached: create_module has refused

    def _importer(self) -> str:
        """The plugin on the call stack, else the module that imports."""
        frame, first = sys._getframe(1), ""
        while frame.f_back is not None:
            frame = frame.f_back
            name = str(frame.f_globals.get("__name__", ""))
            if owner := owner_of(name, self._owners):
                return f"The plugin {owner}"
            if not first and not name.startswith(("importlib", "gesso.plugins.guard")):
                first = name
        return f"The module {first or '?'}"
