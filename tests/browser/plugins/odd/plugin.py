from __future__ import annotations

from pathlib import Path

from gesso import Asset, Locale, Panel, PanelFn, Registrar, Sampler, SamplerFn, Tab, TabFn, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_tabs(registry: Registrar[Tab]) -> None:
    registry.add(Tab(name="broken", label="Broken", build=lazy(".ui:broken", TabFn)))
    registry.add(Tab(name="plain", label="Plain", order=5000, build=lazy(".ui:plain", TabFn)))


@hookimpl
def gesso_register_panels(registry: Registrar[Panel]) -> None:
    registry.add(Panel(name="odd_broken", label="Half a panel", build=lazy(".ui:broken_panel", PanelFn)))
    registry.add(Panel(name="odd_plain", label="Shout", slot="prompts", build=lazy(".ui:panel", PanelFn)))


@hookimpl
def gesso_register_assets(registry: Registrar[Asset]) -> None:
    registry.add(Asset(name="odd", file=Path(__file__).with_name("odd.css")))


@hookimpl
def gesso_register_locales(registry: Registrar[Locale]) -> None:
    registry.add(Locale(name="odd", folder=Path(__file__).with_name("locales")))


@hookimpl
def gesso_register_samplers(registry: Registrar[Sampler]) -> None:
    registry.add(Sampler(name="odd_crash", label="Odd crash", run=lazy(".samplers:crash", SamplerFn)))
    registry.add(Sampler(name="odd_slow", label="Odd slow", run=lazy(".samplers:slow", SamplerFn)))
