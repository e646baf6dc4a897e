"""Values to try records and contributions with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from gesso import Guider, Params, Scheduler, fields

if TYPE_CHECKING:
    import torch

    from gesso import ModelSampling

_ANY: TypeAdapter[Any] = TypeAdapter(Any)


def examples(record: type[Params]) -> list[Params]:
    """Records with every field away from its default, as far as one can tell from types and bounds, and the default."""
    values = {name: other_value(field) for name, field in record.model_fields.items()}
    chosen = {name: value for name, value in values.items() if value is not None}
    found: list[Params] = []
    try:
        found.append(record.model_validate({name: getattr(record(), name) for name in record.model_fields}))
    except ValidationError:
        pass  # the check params_defaults says so
    try:
        found.append(record.model_validate(chosen))
    except ValidationError:  # fields that bear only certain values, or only together: one by one
        for name, value in chosen.items():
            try:
                found.append(record.model_validate({name: value}))
            except ValidationError:
                continue
    return found


def plain(record: Params) -> dict[str, Any]:
    """A record as JSON data, whatever its own serialisers would make of it."""
    return {name: _ANY.dump_python(getattr(record, name), mode="json") for name in type(record).model_fields}


def other_value(field: FieldInfo) -> Any:
    """A plain value within the bounds that is not the default; None when none can be told."""
    default, kind = field.get_default(call_default_factory=True), field.annotation
    choices = next((info.choices for _, f, info in fields_of(field) if isinstance(info.choices, tuple)), ())
    if choices or get_origin(kind) is Literal:
        return next((value for value in choices or get_args(kind) if value != default), None)
    if kind is bool:
        return not default
    if kind in (int, float):
        return _number(field, default, kind)
    if kind is str:
        return 'a, "b": c' if not _bound(field, "max_length") else "x"[: _bound(field, "max_length")]
    return None


def fields_of(field: FieldInfo) -> list[tuple[str, FieldInfo, Any]]:
    """The field with its ParamInfo, as `gesso.fields` gives it."""
    holder = type("Holder", (), {"model_fields": {"field": field}})
    return list(fields(holder))


def _number(field: FieldInfo, default: Any, kind: Any) -> Any:
    low = _bound(field, "ge", "gt")
    high = _bound(field, "le", "lt")
    if low is not None and high is not None:
        middle = low + (high - low) / 2
        return kind(middle) if kind(middle) != default else kind(low + (high - low) * 0.75)
    if low is not None:
        return kind(low + 2) if kind(low + 2) != default else kind(low + 3)
    if high is not None:
        return kind(high - 2) if kind(high - 2) != default else kind(high - 3)
    return kind((default or 0) + 1)


def _bound(field: FieldInfo, *names: str) -> Any:
    return next((getattr(m, n) for m in field.metadata for n in names if getattr(m, n, None) is not None), None)


def default_options(item: Guider) -> Any:
    """A contribution's options with their defaults, None when it has none."""
    return item.options() if item.options else None


def made_schedule(item: Scheduler, n: int, model: ModelSampling) -> torch.Tensor:
    """The schedule's sigmas for n steps of a 512 × 512 picture."""
    options = item.options() if item.options else None
    return item.run.load()(n, model=model, size=(512, 512), options=options)
