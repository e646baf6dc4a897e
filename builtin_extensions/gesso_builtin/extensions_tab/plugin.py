"""The tab "Extensions": every plugin, how it is, whose errors there were, and what can be done."""

from __future__ import annotations

from pathlib import Path

from gesso import Asset, Locale, Registrar, Tab, TabFn, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_tabs(registry: Registrar[Tab]) -> None:
    registry.add(Tab(name="extensions", label="Extensions", order=80, build=lazy(".ui:build", TabFn)))


@hookimpl
def gesso_register_assets(registry: Registrar[Asset]) -> None:
    registry.add(Asset(name="extensions_tab", label="Extensions tab", file=Path(__file__).with_name("tab.css")))


@hookimpl
def gesso_register_locales(registry: Registrar[Locale]) -> None:
    registry.add(Locale(name="extensions_tab", label="Extensions tab", folder=Path(__file__).with_name("locales")))
