"""The tab "System": memory and devices, worker, queue, versions, and a report of them to copy."""

from __future__ import annotations

from pathlib import Path

from gesso import Asset, Locale, Registrar, Route, RouteFn, Tab, TabFn, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_tabs(registry: Registrar[Tab]) -> None:
    registry.add(Tab(name="system", label="System", order=90, build=lazy(".ui:build", TabFn)))


@hookimpl
def gesso_register_routes(registry: Registrar[Route]) -> None:
    registry.add(Route(name="system_tab", label="System", build=lazy(".routes:build", RouteFn)))


@hookimpl
def gesso_register_assets(registry: Registrar[Asset]) -> None:
    registry.add(Asset(name="system_tab", label="System", file=Path(__file__).with_name("tab.css")))


@hookimpl
def gesso_register_locales(registry: Registrar[Locale]) -> None:
    registry.add(Locale(name="system_tab", label="System", folder=Path(__file__).with_name("locales")))
