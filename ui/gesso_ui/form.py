"""The controls of a request: gesso's own parameters, the options of what is chosen, and every plugin's record."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from pydantic.fields import FieldInfo

from gesso import (
    CoreParams,
    FileRef,
    GessoError,
    HostService,
    Lazy,
    ParamInfo,
    Params,
    Record,
    Request,
    UnknownNameError,
    fields,
    open_picture,
    takes_file,
    takes_mask,
    text,
)  # fmt: skip

from .components.mask import MaskEditor
from .fields import choices_of, control, shown, value_of


@dataclass(frozen=True)
class Control:
    """One control: the section of the request it belongs to ("" for gesso's own), its field, its component."""

    section: str
    name: str
    field: FieldInfo
    info: ParamInfo
    component: Any
    record: type[Params]
    painted: MaskEditor | None = None
    """The editor whose mask stands for the field where no file was chosen."""


@dataclass(frozen=True)
class Options:
    """The options of whatever is chosen in a field ("sampler"): a group of controls, shown while it applies."""

    slot: str
    record: type[Params]
    names: frozenset[str]
    group: Any


def _key(item: Record) -> str:
    return f"records.{item.name}"


class RequestForm:
    """Makes controls in the current Gradio context and turns their values into a request, and back.

    `values` everywhere are those of `inputs`, in that order.
    """

    def __init__(self, service: HostService, name: str) -> None:
        """`name` begins the components' ids: two tabs may have a form each."""
        self.service, self.name = service, name
        self.controls: list[Control] = []
        self.options: list[Options] = []
        self._start = self._defaults()

    def _defaults(self) -> dict[str, Any]:
        """What a fresh page shows: the first model with its profile."""
        try:
            model = self.service.library.find("")
            return {"model": model.name, **self.service.profile(model)}
        except GessoError:
            return {}  # no model yet: the page says so when one is asked for

    @property
    def inputs(self) -> list[Any]:
        """All components, for an event's inputs or outputs."""
        return [control.component for control in self.controls]

    def component(self, name: str, section: str = "") -> Any:
        """The component of one of gesso's own fields, or of a plugin's. UnknownNameError: this form has none."""
        mine = {c.name: c.component for c in reversed(self.controls) if c.section == section and not c.painted}
        if name not in mine:
            raise UnknownNameError(f"control of {section or 'this tab'}", name, mine)
        return mine[name]

    # --- making controls --------------------------------------------------------------------------------------

    def add(self, name: str, **look: Any) -> Any:
        """One of gesso's own fields. `look` goes to the component (lines, placeholder, elem_classes …)."""
        field, info = next((field, info) for known, field, info in fields(CoreParams) if known == name)
        return self._add("", CoreParams, name, field, info, **look)

    def add_options(self, slot: str) -> None:
        """Groups for the options of every choice of `slot` ("sampler"); the one that applies is shown."""
        by_record: dict[type[Params], list[str]] = {}
        for item in self._registry(slot):
            if item.options is not None:
                by_record.setdefault(item.options, []).append(item.name)
        chosen = self._chosen(slot, self._start.get(slot))
        for record, names in by_record.items():
            owner = self._registry(slot).owner(names[0])
            group = gr.Group(visible=chosen in names)
            if self._whole(owner, group, slot, record, f"the options of {names[0]}"):
                self.options.append(Options(slot, record, frozenset(names), group))

    def add_field(self, section: str, name: str, **look: Any) -> Any:
        """One field of a plugin's record, in a place of its own; `add_records` brings the others."""
        record = self.service.host.registry("params").get(section).params
        field, info = next((field, info) for known, field, info in fields(record) if known == name)
        return self._add(section, record, name, field, info, **look)

    def add_records(self) -> None:
        """An accordion for the parameter record of every plugin that belongs into this tab, or for a group of them."""
        groups: dict[str, list[Record]] = {}
        for item in self._records():
            if not item.params.model_fields.keys() <= self._placed(item):
                title = text(f"groups.{item.group}", item.group) if item.group else text(_key(item), item.label)
                groups.setdefault(title, []).append(item)
        for title, items in groups.items():
            accordion = gr.Accordion(title, open=False)
            made = [self._add_record(item, accordion) for item in items]
            if not any(made):
                accordion.unrender()

    def _add_record(self, item: Record, accordion: Any) -> bool:
        """A record's controls below those that are in the accordion already; False when its plugin got it wrong."""
        owner = self.service.host.registry("params").owner(item.name)
        with accordion:
            said = f"the record {item.name}"
            return self._whole(owner, gr.Group(), item.name, item.params, said, self._placed(item))

    def _placed(self, item: Record) -> set[str]:
        """The fields of a record that have a place of their own."""
        return {made.name for made in self.controls if made.section == item.name}

    def _records(self) -> list[Record]:
        """The records of this tab, those that stand in few tabs first."""
        mine = [item for item in self.service.host.registry("params") if not item.tabs or self.name in item.tabs]
        return sorted(mine, key=lambda item: not item.tabs)

    def fits(self, request: Request) -> bool:
        """Whether a request is one this form makes: what it holds is here, and what only this tab has is in it."""
        there = {made.section for made in self.controls if made.section} | {options.slot for options in self.options}
        own = {item.name for item in self._records() if item.tabs}
        return request.params.keys() <= there and (not own or bool(own & request.params.keys()))

    def _whole(
        self, owner: str, place: Any, section: str, record: type[Params], said: str, but: Container[str] = ()
    ) -> bool:
        """All controls of a record in `place`, but those named, or none: a wrong record is its plugin's error alone."""
        before = len(self.controls)
        with self.service.host.guarded(owner, phase="build", hook=said) as outcome, place:
            for name, field, info in fields(record):
                if name not in but:
                    self._add(section, record, name, field, info)
        if outcome.error is not None:
            del self.controls[before:]
            place.unrender()
        return outcome.error is None

    def wire_options(self) -> None:
        """Show the options of what is chosen. Call it once, when all controls are there."""
        for slot in {options.slot for options in self.options}:
            mine = [options for options in self.options if options.slot == slot]

            def show(value: str, slot: str = slot, mine: Sequence[Options] = mine) -> list[Any]:
                chosen = self._chosen(slot, value)
                return [gr.Group(visible=chosen in options.names) for options in mine]

            self.component(slot).change(
                show, self.component(slot), [options.group for options in mine], show_progress="hidden",
                queue=False, api_visibility="private",
            )  # fmt: skip

    def _add(
        self, section: str, record: type[Params], name: str, field: FieldInfo, info: ParamInfo, **look: Any
    ) -> Any:
        choices = choices_of(self.service, field, info)
        if not section and name in self._start:
            look = {"value": shown(field, self._start[name]), **look}
        place = f"{section}-{record.__name__}-" if section else ""
        key = f"params.{section}.{name}" if section else f"core.{name}"
        look = {"height": 160, **look} if takes_file(field) else look
        made = control(name, field, info, choices, key=key, elem_id=f"{self.name}-{place}{name}", **look)
        self.controls.append(Control(section, name, field, info, made, record))
        if takes_mask(field):
            self._add_painting(section, record, name, field, info, f"{self.name}-{place}{name}-paint")
        return made

    def _add_painting(
        self, section: str, record: type[Params], name: str, field: FieldInfo, info: ParamInfo, elem_id: str
    ) -> None:
        """A mask may also be painted, over the first picture of the form."""
        picture = next((made.component for made in self.controls if takes_file(made.field)), None)
        if picture is not None and not takes_mask(next(m.field for m in self.controls if m.component is picture)):
            editor = MaskEditor(picture, elem_id=elem_id)
            self.controls.append(Control(section, name, field, info, editor.component, record, editor))

    def _registry(self, slot: str) -> Any:
        info = next(info for name, _, info in fields(CoreParams) if name == slot)
        return self.service.host.registry(str(info.choices).partition(":")[2])

    def _chosen(self, slot: str, value: Any) -> str:
        item = self._registry(slot).find(str(value or ""))
        return "" if item is None else str(item.name)

    # --- values and requests ----------------------------------------------------------------------------------

    def given(self, values: Sequence[Any]) -> dict[str, Any]:
        """What a person asked for, as `HostService.submit` takes it."""
        own: dict[str, Any] = {}
        params: dict[str, dict[str, Any]] = {}
        for made, value in zip(self.controls, values, strict=True):
            if not made.section:
                own[made.name] = value_of(made.field, value)
        for made, value in zip(self.controls, values, strict=True):
            if made.section and self._applies(made, own):
                section = params.setdefault(made.section, {})
                section[made.name] = section.get(made.name) or self._value(made, value)
        return {**own, "params": params}

    def _value(self, made: Control, value: Any) -> Any:
        """What the record takes; pictures are stored, and go along as their hash."""
        if made.painted is not None:
            data = made.painted.mask(value)
            return None if data is None else self.service.take_picture(data).model_dump()
        if takes_file(made.field) and value:
            file = Path(value)
            return self.service.take_picture(file.read_bytes(), file.name).model_dump()
        return value_of(made.field, value)

    def _applies(self, made: Control, own: Mapping[str, Any]) -> bool:
        mine = [options for options in self.options if options.slot == made.section]
        if not mine:
            return True
        chosen = self._chosen(made.section, own.get(made.section))
        return any(options.record is made.record and chosen in options.names for options in mine)

    def updates(self, request: Request) -> list[Any]:
        """What every control shows for an earlier request. The seed stays: a job's is the one that was drawn for it."""
        return [self._update(made, request) for made in self.controls]

    @property
    def kept(self) -> list[Any]:
        """The components whose values a browser may keep: all but files."""
        return [made.component for made in self.controls if not takes_file(made.field)]

    def prefilled(self, last: Request | None, draft: Mapping[str, Any]) -> list[Any]:
        """What every control of a fresh page is to show: what was typed there (`draft`, by the components' ids), else
        what the last run had, else what it was made with, which is the model's profile over the field's default.
        `gr.skip()` where it shows that already."""
        updates = self.updates(last) if last is not None else [gr.skip() for _ in self.controls]
        for place, made in enumerate(self.controls):
            value = draft.get(made.component.elem_id)
            if value is not None and not takes_file(made.field) and _fits(made.component, value):
                updates[place] = _within(made.component, value)
        return [
            gr.skip() if isinstance(update, dict) and update.get("value", made.component.value) == made.component.value
            else update for made, update in zip(self.controls, updates, strict=True)
        ]  # fmt: skip

    def _update(self, made: Control, request: Request) -> Any:
        if made.component is self.component("seed") or (made.section and not self._applies(made, request.model_dump())):
            return gr.skip()
        section = request.params.get(made.section, {})
        default = made.field.get_default(call_default_factory=True)
        value = section.get(made.name, default) if made.section else getattr(request, made.name)
        if takes_file(made.field):
            return gr.skip() if made.painted else gr.update(value=self._picture(value))
        return _within(made.component, shown(made.field, value))

    def taken(self, data: dict[str, Any], section: str = "", name: str = "") -> list[Any]:
        """Updates for a picture that was sent here: what its infotext says as near as it can be had here, its seed too,
        and the picture itself in a plugin's field, if one is named."""
        updates = [gr.skip() for _ in self.controls]
        if infotext := data.get("infotext"):
            with contextlib.suppress(GessoError):  # no model at all: the picture alone
                request = self.service.closest(infotext).request
                updates = self.updates(request)
                updates[self.inputs.index(self.component("seed"))] = gr.update(value=str(request.seed))
        if name:
            updates[self.inputs.index(self.component(name, section))] = gr.update(value=self._picture(data.get("file")))
        return updates

    def _picture(self, value: Any) -> Any:
        """A stored picture for its control; None when it is gone."""
        try:
            return open_picture(self.service.file(FileRef.model_validate(value))) if value else None
        except GessoError:
            return None

    def refreshed_choices(self) -> Iterator[Any]:
        """Updates of the lists of files, after the folders were looked through again."""
        for made in self.controls:
            if isinstance(made.info.choices, Lazy) or str(made.info.choices).startswith("models:"):
                yield gr.Dropdown(choices=choices_of(self.service, made.field, made.info))
            else:
                yield gr.skip()


def _within(component: Any, value: Any) -> Any:
    """An update; a slider grows where the value is beyond its end."""
    if isinstance(component, gr.Slider) and value > component.maximum:
        return gr.Slider(value=value, maximum=value)
    return gr.update(value=value)


def _fits(component: Any, value: Any) -> bool:
    """Whether a value that a browser kept is one this component can show: plugins and models come and go."""
    if isinstance(component, gr.Dropdown):
        known = [choice for _, choice in component.choices]
        return all(one in known for one in (value if isinstance(value, list) else [value]))
    if isinstance(component, gr.Checkbox):
        return isinstance(value, bool)
    if isinstance(component, (gr.Slider, gr.Number)):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, str)
