"""The tab "Models": every model that was found, what is known of it, and what is in memory now."""

from __future__ import annotations

from pathlib import Path

from gesso import Asset, Locale, Registrar, Route, RouteFn, Tab, TabFn, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_tabs(registry: Registrar[Tab]) -> None:
    registry.add(Tab(name="models", label="Models", order=60, build=lazy(".ui:build", TabFn)))


@hookimpl
def gesso_register_routes(registry: Registrar[Route]) -> None:
    registry.add(Route(name="models_tab", label="Models", build=lazy(".routes:build", RouteFn)))


@hookimpl
def gesso_register_assets(registry: Registrar[Asset]) -> None:
    registry.add(Asset(name="models_tab", label="Models", file=Path(__file__).with_name("tab.css")))


@hookimpl
def gesso_register_locales(registry: Registrar[Locale]) -> None:
    registry.add(Locale(name="models_tab", label="Models", folder=Path(__file__).with_name("locales")))
