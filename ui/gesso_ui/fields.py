"""A parameter field as a control of the page: the one place that knows which becomes which."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable
from typing import Any

import gradio as gr
from pydantic.fields import FieldInfo

from gesso import HostService, Lazy, ParamInfo, UnknownNameError, label_of, takes_file, text

from .components.picture import picture_input

EXACT = 2**53
"""Above this a browser's numbers lose digits; such a field is a text box."""
FINEST = 10_000
"""A slider with more positions than this is no use; such a field is a number box."""
Choices = list[tuple[str, Any]]


def control(name: str, field: FieldInfo, info: ParamInfo, choices: Choices, *, key: str = "", **look: Any) -> Any:
    """The component for a field. What it holds, `value_of` turns into what the record takes.

    `key` is what its texts are looked up by: "params.clock.zone"; without one they are as the record says.
    """
    kind = kind_of(field)
    low, high = bounds(field)
    common: dict[str, Any] = {
        "label": _label(name, info, key), "info": _info(field, key),
        "value": shown(field, field.get_default(call_default_factory=True)), **look,
    }  # fmt: skip
    if takes_file(field):
        plain = {key: value for key, value in common.items() if key not in ("info", "value")}
        return picture_input(**plain)
    if info.choices or typing.get_origin(kind) is typing.Literal:
        if typing.get_origin(kind) is list:
            return gr.Dropdown(choices=choices, multiselect=True, **common)
        known = [value for _, value in choices]
        common["value"] = common["value"] if common["value"] in known else next(iter(known), None)
        return gr.Dropdown(choices=choices, filterable=len(choices) > 12, **common)
    if kind is bool:
        return gr.Checkbox(**common)
    if kind in (int, float) and max(abs(low or 0), abs(high or 0)) <= EXACT:
        return _number(kind, low, high, info, common)
    if kind in (int, float, str):
        return gr.Textbox(**{"max_lines": 1, **common})
    return gr.Code(language="json", **{k: v for k, v in common.items() if k != "info"})


def _number(kind: Any, low: float | None, high: float | None, info: ParamInfo, common: dict[str, Any]) -> Any:
    step = info.step or (1 if kind is int else 0.01)
    end = high if info.soft_max is None else info.soft_max
    if low is not None and end is not None and (end - low) / step <= FINEST:
        return gr.Slider(minimum=low, maximum=end, step=step, buttons=[], **common)
    return gr.Number(minimum=low, maximum=high, step=step, precision=0 if kind is int else None, **common)


def shown(field: FieldInfo, value: Any) -> Any:
    """A field's value as its control holds it."""
    kind = kind_of(field)
    several = typing.get_origin(kind) is list and any(isinstance(m, ParamInfo) and m.choices for m in field.metadata)
    if typing.get_origin(kind) in (list, dict) and not several:
        return json.dumps(value, default=lambda record: record.model_dump(mode="json"))
    if kind is int and max(abs(bound or 0) for bound in bounds(field)) > EXACT:
        return str(value)
    return value


def value_of(field: FieldInfo, value: Any) -> Any:
    """What a control holds as what the record takes; None (an emptied box) stands for the default."""
    if value is None or (value == "" and kind_of(field) is not str):
        return field.get_default(call_default_factory=True)
    kind = kind_of(field)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if typing.get_origin(kind) in (list, dict) and isinstance(value, str):
        return _parsed(value)
    return value.strip() if isinstance(value, str) and kind in (int, float) else value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text  # the record says what it takes instead


def kind_of(field: FieldInfo) -> Any:
    """The field's type without "or None"."""
    annotation = field.annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(annotation) if part is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """Lowest and highest value, None where there is none."""
    found: dict[str, float] = {}
    for item in field.metadata:
        for key in ("ge", "gt", "le", "lt"):
            if (bound := getattr(item, key, None)) is not None:
                found[key] = bound
    return found.get("ge", found.get("gt")), found.get("le", found.get("lt"))


def choices_of(service: HostService, field: FieldInfo, info: ParamInfo) -> Choices:
    """(label, value) pairs of a field: its own, those of a registry, or the models of a role."""
    if isinstance(info.choices, Lazy):
        return list(info.choices.load()(service))
    if isinstance(info.choices, tuple):
        values = info.choices or typing.get_args(kind_of(field))
        return [(text("", str(value)), value) for value in values]
    source, _, name = info.choices.partition(":")
    sources: dict[str, Callable[[], Choices]] = {
        "registry": lambda: [(item.label, item.name) for item in service.host.registry(name)],
        "models": lambda: [(entry.name, entry.name) for entry in service.library.entries(name) if entry.state == "ok"],
    }
    if source not in sources:
        raise UnknownNameError("source of choices", source, sources)
    return sources[source]()


def _label(name: str, info: ParamInfo, key: str) -> str:
    label = label_of(name, info)
    label = text(key, label) if key else label
    return f"{label} ({info.unit})" if info.unit else label


def _info(field: FieldInfo, key: str) -> str | None:
    return text(f"{key}.info", field.description) if key and field.description else field.description
