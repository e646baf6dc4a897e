"""The settings as HTML: a part for each section, a row for each setting. No Gradio component for any of them: with many
extensions they are hundreds, and nobody looks at all."""

from __future__ import annotations

import json
import typing
from collections.abc import Sequence
from html import escape
from typing import Any

from pydantic.fields import FieldInfo

from gesso import HostService, ParamInfo, Params, fields, label_of, text
from gesso_ui.fields import bounds, choices_of, kind_of

AT_START = ("core", "worker")
"""Sections that are read once, at the start."""


def whole(service: HostService) -> str:
    """All sections: a list of them to go by, and their settings."""
    sections = service.sections()
    titles = {name: title(service, name) for name in sections}
    links = "".join(
        f'<li><a href="#settings-{escape(name)}" data-section="{escape(name)}">{titles[name]}</a></li>'
        for name in sections
    )
    parts = "".join(_section(service, name, record, titles[name]) for name, record in sections.items())
    return (
        f'<nav aria-label="{text("settings_tab.sections")}"><ul>{links}</ul></nav><div class="gs-parts">{parts}'
        f'<p class="gesso-empty gs-none" hidden>{text("settings_tab.none")}</p></div>'
    )


def title(service: HostService, name: str) -> str:
    """What people call a section."""
    registry = service.host.registry("settings")
    known = registry.find(name)
    formats = service.host.registry("formats")
    if name.startswith("format.") and (format_ := formats.find(name.removeprefix("format."))) is not None:
        return text("settings_tab.format", name=format_.label)
    return text(f"sections.{name}", escape(known.label if known else name.capitalize()))


def _section(service: HostService, name: str, record: type[Params], title: str) -> str:
    values = service.settings.section(name, record)
    rows = "".join(row(service, name, field, values) for field, _, info in fields(record) if not info.advanced)
    more = "".join(row(service, name, field, values) for field, _, info in fields(record) if info.advanced)
    folded = f"<details><summary>{text('settings_tab.more')}</summary>{more}</details>" if more else ""
    note = f'<p class="gs-note">{text("settings_tab.at_start")}</p>' if name in AT_START else ""
    return (
        f'<section class="gs-part" id="settings-{escape(name)}" data-section="{escape(name)}">'
        f"<h2>{title} <code>{escape(name)}</code></h2>{note}{rows}{folded}</section>"
    )


def row(service: HostService, section: str, name: str, values: Params) -> str:
    """One setting: label, description, control with its unit, default, reset."""
    field, info = next((field, info) for known, field, info in fields(type(values)) if known == name)
    value, default = getattr(values, name), field.get_default(call_default_factory=True)
    id_ = f"setting-{section}-{name}"
    label = text(f"settings.{section}.{name}", escape(label_of(name, info)))
    described = text(f"settings.{section}.{name}.info", escape(field.description)) if field.description else ""
    unit = f'<span class="gs-unit">{escape(info.unit)}</span>' if info.unit else ""
    changed = value != default
    words = escape(f"{section}.{name} {label_of(name, info)} {field.description or ''}".casefold())
    return (
        f'<div class="gs-row" data-section="{escape(section)}" data-field="{escape(name)}" data-words="{words}"'
        f'{" data-changed" if changed else ""}><div class="gs-words"><label for="{escape(id_)}">{label}</label>'
        f'<p id="{escape(id_)}-info">{described}</p></div><div class="gs-control">'
        f"{control(service, field, info, value, id_)}{unit}"
        f'<button type="button" class="gesso-button" data-do="reset"{"" if changed else " disabled"} '
        f'aria-label="{text("settings_tab.reset_one", name=label)}">{text("settings_tab.reset")}</button>'
        f'<p class="gs-default">{text("settings_tab.default", value=_shown(default))}</p>'
        '<p class="gs-said" role="status"></p></div></div>'
    )


def control(service: HostService, field: FieldInfo, info: ParamInfo, value: Any, id_: str) -> str:
    """The HTML control of a field. Its value goes back as text, which the record reads as it reads a command line."""
    kind = kind_of(field)
    common = f'id="{escape(id_)}" aria-describedby="{escape(id_)}-info" data-control'
    is_list = typing.get_origin(kind) is list
    if kind is bool:
        return f'<input type="checkbox" {common}{" checked" if value else ""}>'
    if (info.choices or typing.get_origin(kind) is typing.Literal) and not is_list:
        return f'<select class="gesso-select" {common}>{_options(choices_of(service, field, info), value)}</select>'
    if kind in (int, float):
        low, high = bounds(field)
        step = info.step or (1 if kind is int else "any")
        limits = "".join(f' {name}="{bound:g}"' for name, bound in (("min", low), ("max", high)) if bound is not None)
        return f'<input type="number" class="gesso-input" {common} step="{step}"{limits} value="{escape(str(value))}">'
    if is_list or kind is str:
        return f'<input type="text" class="gesso-input" {common} value="{escape(_text(value))}">'
    return f'<textarea class="gesso-input" rows="3" {common}>{escape(_text(value))}</textarea>'


def _options(choices: Sequence[tuple[str, Any]], value: Any) -> str:
    known = list(choices)
    if value not in [one for _, one in known]:
        known.insert(0, (str(value), value))  # what is chosen and not here now stays to be seen
    return "".join(
        f'<option value="{escape(_text(one))}"{" selected" if one == value else ""}>'
        f"{escape(str(label)) or '–'}</option>"
        for label, one in known
    )


def _text(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, list) and all(isinstance(item, str | int | float) and "," not in str(item) for item in value):
        return ", ".join(str(item) for item in value)
    if isinstance(value, str):
        return value
    return json.dumps(value, default=lambda record: record.model_dump(mode="json"))


def _shown(value: Any) -> str:
    """A default in words."""
    if isinstance(value, bool):
        return text("settings_tab.on") if value else text("settings_tab.off")
    return escape(_text(value)) or text("settings_tab.empty")
