"""The table of registries, read off the hookspecs, and who owns which infotext key and API name."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterable
from typing import Any

import gesso.hookspecs
from gesso.contributions import Record
from gesso.errors import RegistrationError
from gesso.hookspecs import SpecInfo
from gesso.plugins.discovery import BUILT_IN
from gesso.plugins.dispatch import HookSpec
from gesso.types import CoreParams


def read_specs() -> dict[str, HookSpec]:
    """All hooks by name."""
    specs = {}
    for name, function in vars(gesso.hookspecs).items():
        info = getattr(function, "__gesso_spec__", None)
        if isinstance(info, SpecInfo):
            signature = inspect.signature(function)
            returns = str(signature.return_annotation).removesuffix(" | None")
            specs[name] = HookSpec(name, info, tuple(signature.parameters), returns)
    return specs


def _item_type(hook: str) -> type[Any]:
    """`Sampler` of `registry: Registrar[Sampler]`."""
    hints = typing.get_type_hints(getattr(gesso.hookspecs, hook))
    return typing.cast("type[Any]", typing.get_args(hints["registry"])[0])


SPECS = read_specs()
REGISTRY_HOOKS: dict[str, str] = {spec.info.registry: name for name, spec in SPECS.items() if spec.info.registry}
"""Registry name → the hook that fills it."""
REGISTRIES: dict[str, type[Any]] = {name: _item_type(hook) for name, hook in REGISTRY_HOOKS.items()}
"""Registry name → the type of its records: {"samplers": Sampler, …}."""


def kind_of(item_type: type[Any]) -> str:
    """How messages name one record of a registry: ModelFolder → "model folder"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", item_type.__name__).lower()


OWN_OPTIONS = ("cfg", "format", "help", "inline", "json", "negative", "options", "out", "set")
"""Options of `gesso generate` that are no parameter's name."""


class KeyOwners:
    """Infotext keys, names of A1111's API and short options each have one owner; gesso's own claim theirs first."""

    def __init__(self) -> None:
        self.infotext: dict[str, str] = dict.fromkeys(map(str.casefold, CoreParams.infotext_keys()), BUILT_IN)
        self.api: dict[str, str] = dict.fromkeys(map(str.casefold, CoreParams.api_names()), BUILT_IN)
        own = (*(name.replace("_", "-") for name in CoreParams.model_fields), *OWN_OPTIONS)
        self.options: dict[str, str] = dict.fromkeys(own, BUILT_IN)

    def claim(self, owner: str, records: Iterable[Record]) -> None:
        """Claim all keys of `records`; RegistrationError names both when one is taken."""
        for record in records:
            for kind, table, keys in (
                ("infotext key", self.infotext, (*record.params.infotext_keys(), *record.tells)),
                ("API name", self.api, record.params.api_names()),
                ("option", self.options, record.params.flags()),
            ):
                for key in keys:
                    holder = table.setdefault(key.casefold(), owner)
                    if holder != owner:
                        raise RegistrationError(
                            f"{owner} claims the {kind} {key!r} (record {record.name!r}), which {holder} already owns.",
                            hint="Rename one or disable one of the two.",
                        )

    def release(self, owner: str) -> None:
        """Give back everything `owner` holds."""
        for table in (self.infotext, self.api, self.options):
            for key in [key for key, holder in table.items() if holder == owner]:
                del table[key]
