"""Styles: texts under a name that are put into the prompts, kept in A1111's styles.csv."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gesso import (
    ChoicesFn,
    Command,
    Locale,
    Panel,
    PanelFn,
    Params,
    Record,
    Registrar,
    Request,
    SettingsSection,
    hookimpl,
    lazy,
    param,
)

if TYPE_CHECKING:
    from gesso import Service

api = "1"
NAME = "styles"


class Styles(Params):
    """Texts to add to both prompts."""

    names: list[str] = param(
        [], label="Styles", api="styles", choices=lazy(".files:choices", ChoicesFn),
        description="Applied one after the other. Their texts become part of the prompts.",
    )  # fmt: skip


class StylesSettings(Params):
    """Where styles are kept."""

    files: list[str] = param(
        ["styles.csv", "styles/*.csv"], label="Styles files", changes_picture=False,
        description="Files, from GESSO_HOME on; * stands for any name. New styles go to the first.",
    )  # fmt: skip
    infotext: Literal["Apply if any", "Apply", "Ignore", "Discard"] = param(
        "Apply if any", label="Styles in prompts that are read back", changes_picture=False,
        description="Apply: their text is taken out of the prompts and they are chosen. Discard: only taken out.",
    )  # fmt: skip


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name=NAME, label="Styles", group="Prompt", params=Styles))


@hookimpl
def gesso_register_settings(registry: Registrar[SettingsSection]) -> None:
    registry.add(SettingsSection(name=NAME, label="Styles", params=StylesSettings))


@hookimpl
def gesso_register_panels(registry: Registrar[Panel]) -> None:
    registry.add(Panel(name="save_style", label="Save as style", slot="prompts", build=lazy(".ui:build", PanelFn)))


@hookimpl
def gesso_register_locales(registry: Registrar[Locale]) -> None:
    registry.add(Locale(name=NAME, folder=Path(__file__).with_name("locales")))


@hookimpl
def gesso_register_commands(registry: Registrar[Command]) -> None:
    registry.add(Command(name=NAME, help="List, add and remove styles.", app=lazy(".command:app", object)))


@hookimpl(phase="style")
def gesso_filter_request(request: Request, service: Service) -> Request | None:
    """The styles' texts into the prompts. The names go: applied twice, a style would be there twice."""
    names = Styles.parse(request.params.get(NAME, {}), where=NAME).names
    rest = {name: values for name, values in request.params.items() if name != NAME}
    if not names:
        return request.model_copy(update={"params": rest}) if NAME in request.params else None
    from .files import StyleBook

    prompt, negative = StyleBook.of(service).applied(names, request.prompt, request.negative_prompt)
    return request.model_copy(update={"prompt": prompt, "negative_prompt": negative, "params": rest})


@hookimpl
def gesso_filter_reuse(fields: dict[str, Any], service: Service) -> dict[str, Any] | None:
    """Styles found in the prompts of a picture, as A1111's setting of that name does."""
    from .files import StyleBook

    wish = service.settings.section(NAME, StylesSettings).infotext
    if wish == "Ignore":
        return None
    found, prompt, negative = StyleBook.of(service).extracted(fields["prompt"], fields["negative_prompt"])
    params = dict(fields.get("params", {}))
    if (found and wish != "Discard") or wish == "Apply":
        params[NAME] = {"names": found}
    return {**fields, "prompt": prompt, "negative_prompt": negative, "params": params}
