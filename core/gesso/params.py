"""The parameter record: one pydantic model from which page, REST, CLI and infotext are made."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from gesso.errors import InvalidInputError, UnknownNameError
from gesso.references import Lazy

if TYPE_CHECKING:
    from gesso.service import Service


class ChoicesFn(Protocol):
    """What a field offers: (label, value) pairs. Light: the host calls it when the page is built and at "Rescan"."""

    def __call__(self, service: Service) -> Sequence[tuple[str, Any]]: ...


MASK = "mask"
"""Marks the type of a field that takes a mask."""


@dataclass(frozen=True)
class ParamInfo:
    """What a field says about itself beyond its type and bounds."""

    label: str = ""
    infotext: str = ""
    """The infotext key written and read; "" keeps the field out of infotext."""
    api: str = ""
    """The name in A1111's REST API."""
    choices: str | tuple[Any, ...] | Lazy[ChoicesFn] = ()
    """Fixed values, "registry:samplers", "models:checkpoint", or a function that lists them."""
    step: float | None = None
    soft_max: float | None = None
    """Where the page's slider ends when `le` is too far away to be of use; other doors take everything up to `le`."""
    unit: str = ""
    advanced: bool = False
    changes_picture: bool = True
    flag: str = ""
    """A short option of `gesso generate` beside `--set plugin.field=value`, without its dashes."""


def param(
    default: Any,
    *,
    label: str = "",
    infotext: str = "",
    api: str = "",
    choices: str | tuple[Any, ...] | Lazy[ChoicesFn] = (),
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    step: float | None = None,
    soft_max: float | None = None,
    unit: str = "",
    max_length: int | None = None,
    advanced: bool = False,
    changes_picture: bool = True,
    flag: str = "",
    description: str = "",
) -> Any:
    """A field of a parameter record.

    `ge/gt/le/lt/max_length` are enforced; `step`, `soft_max` and `unit` shape the control; `infotext` and `api` are the
    names under which A1111's texts and clients know the value; `choices` is a tuple, "registry:samplers",
    "models:checkpoint", or `lazy(".module:function", ChoicesFn)` where they are only known at run time. `flag` is a
    short option of the command line ("strength" for `--strength 0.5`).
    """
    info = ParamInfo(label, infotext, api, choices, step, soft_max, unit, advanced, changes_picture, flag)
    bounds = {"ge": ge, "gt": gt, "le": le, "lt": lt, "max_length": max_length}
    mutable = isinstance(default, (list, dict))
    options: dict[str, Any] = {name: bound for name, bound in bounds.items() if bound is not None}
    options["default_factory" if mutable else "default"] = (lambda: type(default)(default)) if mutable else default
    field: FieldInfo = Field(description=description or None, title=label or None, **options)
    field.metadata.append(info)
    return field


def param_info(field: FieldInfo) -> ParamInfo:
    """The ParamInfo of a field; an empty one for fields declared without `param`."""
    return next((m for m in field.metadata if isinstance(m, ParamInfo)), ParamInfo())


def label_of(name: str, info: ParamInfo) -> str:
    """What people call a field, in English and without its unit."""
    return info.label or name.replace("_", " ").capitalize()


class Params(BaseModel):
    """Base of parameter records. Immutable; unknown fields are errors; `version` grows when fields change meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False, protected_namespaces=())
    version: ClassVar[int] = 1

    @classmethod
    def upgrade(cls, old: int, data: dict[str, Any]) -> dict[str, Any]:
        """Turn data stored at record version `old` into this version's. Overridden when `version` grows."""
        return data

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, version: int | None = None, where: str = "") -> Self:
        """A validated record from plain data, upgraded first when stored at an older version."""
        values = dict(data)
        if version is not None and version < cls.version:
            values = cls.upgrade(version, values)
        for name in values:
            if name not in cls.model_fields:
                raise UnknownNameError(f"field of {where or cls.__name__}", name, cls.model_fields)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidInputError(_explain(error, where)) from None

    @classmethod
    def check_defaults(cls, where: str = "") -> None:
        """InvalidInputError when a field has no default, or one it would not accept."""
        cls.parse({name: field.get_default(call_default_factory=True) for name, field in cls.model_fields.items()
                   if not field.is_required()}, where=where)  # fmt: skip

    @classmethod
    def parse_text(cls, data: Mapping[str, str], *, where: str = "") -> Self:
        """As `parse`, from texts as typed on a command line or found in infotext ("true", "1.5", "[1, 2]", "1, 2")."""
        return cls.parse({name: _from_text(cls, name, text) for name, text in data.items()}, where=where)

    def to_infotext(self) -> dict[str, Any]:
        """Infotext pairs of the fields that differ from their default. Overridden where one field is not one key."""
        pairs: dict[str, Any] = {}
        for name, field, info in fields(type(self)):
            value = getattr(self, name)
            if info.infotext and value != field.get_default(call_default_factory=True):
                pairs[info.infotext] = value
        return pairs

    @classmethod
    def from_infotext(cls, pairs: Mapping[str, str]) -> dict[str, Any]:
        """Field values found in infotext pairs, as plain data for `parse`."""
        return {
            name: _from_text(cls, name, pairs[info.infotext])
            for name, _, info in fields(cls)
            if info.infotext and info.infotext in pairs
        }

    def to_a1111(self) -> dict[str, Any]:
        """The record in the names of A1111's REST API, plain JSON data. Overridden where one field is not one name."""
        data = self.model_dump(mode="json")
        return {info.api: data[name] for name, _, info in fields(type(self)) if info.api}

    @classmethod
    def from_a1111(cls, body: Mapping[str, Any]) -> dict[str, Any]:
        """Field values found in the body of an A1111 request, for `parse`; what is not there, or null, is left out."""
        return {name: body[info.api] for name, _, info in fields(cls) if info.api and body.get(info.api) is not None}

    @classmethod
    def infotext_keys(cls) -> tuple[str, ...]:
        """Every key this record reads or writes; `gesso` refuses a second owner."""
        return tuple(info.infotext for _, _, info in fields(cls) if info.infotext)

    @classmethod
    def shared_names(cls) -> tuple[str, ...]:
        """Keys of infotext and of A1111's REST API that it shares with their owner ("Denoising strength")."""
        return ()

    @classmethod
    def api_names(cls) -> tuple[str, ...]:
        """Every name of A1111's REST API this record answers to."""
        return tuple(info.api for _, _, info in fields(cls) if info.api)

    @classmethod
    def flags(cls) -> tuple[str, ...]:
        """Every short option this record adds to `gesso generate`."""
        return tuple(info.flag for _, _, info in fields(cls) if info.flag)


def takes_file(field: FieldInfo) -> bool:
    """Whether a field holds a file: `gesso.Image`, `gesso.Mask` or a plain FileRef, or None."""
    from gesso.types import FileRef

    return FileRef in _types_of(field.annotation)


def takes_mask(field: FieldInfo) -> bool:
    """Whether a field holds a mask (`gesso.Mask`), which the page lets people paint."""
    parts = (field.annotation, *typing.get_args(field.annotation))
    return MASK in field.metadata or any(MASK in getattr(part, "__metadata__", ()) for part in parts)


def fields(record: type[Params]) -> Iterator[tuple[str, FieldInfo, ParamInfo]]:
    """(name, field, info) of a record's fields in order."""
    for name, field in record.model_fields.items():
        yield name, field, param_info(field)


def _from_text(record: type[Params], name: str, text: str) -> Any:
    """A typed value where the field's type is not a plain string; pydantic validates the rest."""
    field = record.model_fields.get(name)
    if field is None or not isinstance(text, str):
        return text
    kinds = _types_of(field.annotation)
    if str in kinds:
        return text
    lowered = text.strip().casefold()
    if type(None) in kinds and lowered in ("", "none", "null"):
        return None
    if list in kinds and _of_scalars(field.annotation) and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if kinds & {list, dict, tuple} or any(isinstance(k, type) and issubclass(k, BaseModel) for k in kinds):
        return _json(text, name)
    return text.strip()


def _of_scalars(annotation: Any) -> bool:
    """Whether a list's items are texts or numbers, so that "a, b" says as much as JSON."""
    return set(typing.get_args(annotation)) <= {str, int, float}


def _json(text: str, name: str) -> Any:
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInputError(f"{name} takes JSON, such as [1, 2] or {{}}; {text[:80]!r} is not JSON.") from None


def _types_of(annotation: Any) -> set[Any]:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return set().union(*(_types_of(arg) for arg in typing.get_args(annotation)))
    if origin is typing.Annotated:
        return _types_of(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        return {type(value) for value in typing.get_args(annotation)}
    return {origin or annotation}


def _explain(error: ValidationError, where: str) -> str:
    """One sentence per wrong field."""
    problems = []
    for item in error.errors():
        place = ".".join([*([where] if where else []), *(str(part) for part in item["loc"])])
        problems.append(f"{place}: {item['msg']} (got {str(item['input'])[:80]!r})")
    return "; ".join(problems) + "."
