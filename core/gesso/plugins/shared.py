"""What all plugins share and none may change: libraries' functions, registries and their records, the process's place.

Python keeps nobody from changing them. So they are looked at after a plugin's code has run, and put back; the plugin
whose code it was is told of. Accidents are undone this way, malice is not.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gesso.plugins.guard import owner_of
from gesso.plugins.patches import LIGHT, MonkeyPatchError, PatchWatch
from gesso.plugins.surroundings import Place, Streams
from gesso.registry import Registry

log = logging.getLogger("gesso.plugins")
Told = Callable[[str, Exception], None]


class ChangedRecordsError(MonkeyPatchError):
    """A plugin changed a registry, or a record in it, behind its back."""

    def __init__(self, labels: Iterable[str]) -> None:
        super(MonkeyPatchError, self).__init__(
            f"It changes {', '.join(sorted(labels))} for everybody.", hint="Register records of its own instead."
        )


class Shared:
    """Made before plugins are loaded, told to `watch` when they are.

    `settle` is called after a plugin's code has run, from any thread.
    """

    def __init__(self, owners: Mapping[str, str]) -> None:
        self._owners = owners
        """Package → plugin id."""
        self._patches = PatchWatch()
        self._place, self._streams = Place(), Streams()
        self._sealed: dict[str, tuple[Registry[Any], Any]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Look after nothing any more."""
        with self._lock:
            self._sealed.clear()
            self._patches = PatchWatch()
            self._streams.release()

    def watch(self, modules: Iterable[str]) -> None:
        """Also watch these modules, as far as they are imported by now."""
        with self._lock:
            self._patches.add((*LIGHT, *modules))

    def seal(self, name: str, registry: Registry[Any]) -> None:
        """From now on this registry stays as it is."""
        with self._lock:
            self._sealed[name] = registry, registry.snapshot()

    @contextmanager
    def unsealed(self) -> Iterator[None]:
        """While this is open registries may be changed; they are sealed again as they are then."""
        with self._lock:
            sealed, self._sealed = self._sealed, {}
        try:
            yield
        finally:
            with self._lock:
                again = {name: (registry, registry.snapshot()) for name, (registry, _) in sealed.items()}
                self._sealed = again | self._sealed

    def settle(self, suspect: str, told: Told) -> None:
        """Put back whatever was changed, and tell whose error it is: its code's plugin, else `suspect`.

        A library that changes another one for reasons of its own is left alone when no plugin is suspected.
        """
        with self._lock:
            guilty = self._undo_patches(suspect)
            changed = [
                f"the {registry.kind} {name!r}"
                for registry, kept in self._sealed.values()
                for name in registry.restore(kept)
            ]
            moved = [*self._place.restore(), *self._streams.restore()]
        for plugin, labels in guilty.items():
            told(plugin, MonkeyPatchError(labels))
        if changed:
            told(suspect, ChangedRecordsError(changed))
        if moved:
            log.warning("%s changed %s; that was undone.", suspect or "A plugin", " and ".join(moved))

    def _undo_patches(self, suspect: str) -> dict[str, list[str]]:
        guilty: dict[str, list[str]] = {}
        for key, patch in self._patches.patches():
            if plugin := owner_of(patch.module, self._owners) or suspect:
                guilty.setdefault(plugin, []).append(patch.label)
                self._patches.restore([key])
        return guilty
