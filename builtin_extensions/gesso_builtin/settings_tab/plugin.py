"""The tab "Settings": every section of the settings file as a form, with search, defaults and a reset each."""

from __future__ import annotations

from pathlib import Path

from gesso import Asset, Locale, Registrar, Route, RouteFn, Tab, TabFn, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_tabs(registry: Registrar[Tab]) -> None:
    registry.add(Tab(name="settings", label="Settings", order=70, build=lazy(".ui:build", TabFn)))


@hookimpl
def gesso_register_routes(registry: Registrar[Route]) -> None:
    registry.add(Route(name="settings_tab", label="Settings", build=lazy(".routes:build", RouteFn)))


@hookimpl
def gesso_register_assets(registry: Registrar[Asset]) -> None:
    registry.add(Asset(name="settings_tab", label="Settings", file=Path(__file__).with_name("tab.css")))


@hookimpl
def gesso_register_locales(registry: Registrar[Locale]) -> None:
    registry.add(Locale(name="settings_tab", label="Settings", folder=Path(__file__).with_name("locales")))
