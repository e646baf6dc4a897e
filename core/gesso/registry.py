"""Named registries. A second claim on a name is an error that names both owners."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar

from gesso.errors import RegistrationError, UnknownNameError


class Named(Protocol):
    """What a registry holds: `name` is the id, `label` what people read, `aliases` what they may also type."""

    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Records by name, label and alias, in the order they were added."""

    def __init__(self, kind: str, item_type: type[T]) -> None:
        self.kind = kind
        self._item_type = item_type
        self._items: dict[str, T] = {}
        self._owners: dict[str, str] = {}
        self._index: dict[str, str] = {}
        self._lock = threading.RLock()

    def add(self, item: T, *, owner: str) -> None:
        """Claim the item's name, label and aliases for `owner`, all or none."""
        if not isinstance(item, self._item_type):
            raise RegistrationError(f"{owner} registered {item!r} as {self.kind}; expected {self._item_type.__name__}.")
        with self._lock:
            keys = {key.casefold() for key in (item.name, item.label, *item.aliases)}
            for key in sorted(keys):
                if key in self._index:
                    taken = self._index[key]
                    raise RegistrationError(
                        f"{owner} claims the {self.kind} name {key!r}, which {self._owners[taken]} already owns "
                        f"(as {self._items[taken].label!r}).",
                        hint="Rename one or disable one of the two.",
                    )
            self._items[item.name] = item
            self._owners[item.name] = owner
            self._index.update(dict.fromkeys(keys, item.name))

    def remove_owner(self, owner: str) -> None:
        """Forget everything `owner` added."""
        with self._lock:
            gone = {name for name, who in self._owners.items() if who == owner}
            for name in gone:
                del self._items[name], self._owners[name]
            self._index = {key: name for key, name in self._index.items() if name not in gone}

    def snapshot(self) -> dict[str, tuple[T, str, dict[str, Any]]]:
        """Records, owners and the records' fields as they are now, for `restore`."""
        with self._lock:
            return {name: (item, self._owners[name], dict(vars(item))) for name, item in self._items.items()}

    def restore(self, kept: dict[str, tuple[T, str, dict[str, Any]]]) -> list[str]:
        """Make it again what it was; returns the names of records that had been changed, added or removed."""
        changed = []
        with self._lock:
            for name, (item, owner, values) in kept.items():
                if self._items.get(name) is not item or self._owners.get(name) != owner:
                    changed.append(name)
                if vars(item) != values:
                    changed.append(name)
                    vars(item).clear()
                    vars(item).update(values)
            changed += self._items.keys() - kept.keys()
            if changed:
                self._items = {name: item for name, (item, _, _) in kept.items()}
                self._owners = {name: owner for name, (_, owner, _) in kept.items()}
                self._index = {
                    key.casefold(): name
                    for name, item in self._items.items()
                    for key in (item.name, item.label, *item.aliases)
                }
        return sorted(set(changed))

    def get(self, name: str) -> T:
        """The record called `name` (name, label or alias, any case); UnknownNameError lists near matches."""
        try:
            return self._items[self._index[name.casefold()]]
        except KeyError:
            labels = [spelling for item in self._items.values() for spelling in (item.label, item.name)]
            raise UnknownNameError(self.kind, name, labels) from None

    def find(self, name: str) -> T | None:
        """As `get`, but None for an unknown name."""
        key = self._index.get(name.casefold())
        return None if key is None else self._items[key]

    def owner(self, name: str) -> str:
        """The plugin that registered `name`."""
        return self._owners[self.get(name).name]

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._items.values()))

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.casefold() in self._index


class Registrar(Generic[T]):
    """What a `gesso_register_*` hook receives as `registry`: adds under the plugin's own name, and nothing else."""

    def __init__(self, registry: Registry[T], owner: str) -> None:
        self._registry, self._owner = registry, owner

    def add(self, *items: T) -> None:
        """Register one or more records."""
        for item in items:
            self._registry.add(item, owner=self._owner)
