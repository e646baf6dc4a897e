"""German, Japanese and Chinese for what gesso's parameter records say, and `gesso i18n`."""

from __future__ import annotations

from pathlib import Path

from gesso import Command, Locale, Registrar, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_locales(registry: Registrar[Locale]) -> None:
    registry.add(Locale(name="localisation", folder=Path(__file__).with_name("locales")))


@hookimpl
def gesso_register_commands(registry: Registrar[Command]) -> None:
    help_ = "Which texts of the page lack a translation."
    registry.add(Command(name="i18n", help=help_, app=lazy(".command:app", object)))
