"""The tab "History": every picture that was made, searched, looked at, sent on, deleted and brought back."""

from __future__ import annotations

from pathlib import Path

from gesso import Asset, Locale, Registrar, Route, RouteFn, Tab, TabFn, hookimpl, lazy

api = "1"
capabilities = ("subprocess",)  # the desktop's file manager, for "Open folder"


@hookimpl
def gesso_register_tabs(registry: Registrar[Tab]) -> None:
    registry.add(Tab(name="history", label="History", order=40, build=lazy(".ui:build", TabFn)))


@hookimpl
def gesso_register_routes(registry: Registrar[Route]) -> None:
    registry.add(Route(name="history", label="History", build=lazy(".routes:build", RouteFn)))


@hookimpl
def gesso_register_assets(registry: Registrar[Asset]) -> None:
    registry.add(Asset(name="history", label="History", file=Path(__file__).with_name("tab.css")))


@hookimpl
def gesso_register_locales(registry: Registrar[Locale]) -> None:
    registry.add(Locale(name="history", label="History", folder=Path(__file__).with_name("locales")))
