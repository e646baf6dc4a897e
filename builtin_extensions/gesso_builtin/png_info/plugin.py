"""The tab "PNG Info": how a picture was made, whichever program made it, and what of that would be otherwise here."""

from __future__ import annotations

from pathlib import Path

from gesso import Asset, Locale, Registrar, Tab, TabFn, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_tabs(registry: Registrar[Tab]) -> None:
    registry.add(Tab(name="png_info", label="PNG Info", order=50, build=lazy(".ui:build", TabFn)))


@hookimpl
def gesso_register_assets(registry: Registrar[Asset]) -> None:
    registry.add(Asset(name="png_info", label="PNG Info", file=Path(__file__).with_name("tab.css")))


@hookimpl
def gesso_register_locales(registry: Registrar[Locale]) -> None:
    registry.add(Locale(name="png_info", label="PNG Info", folder=Path(__file__).with_name("locales")))
