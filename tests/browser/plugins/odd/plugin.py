from __future__ import annotations

from gesso import Registrar, Sampler, SamplerFn, Tab, TabFn, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_tabs(registry: Registrar[Tab]) -> None:
    registry.add(Tab(name="broken", label="Broken", build=lazy(".ui:broken", TabFn)))
    registry.add(Tab(name="plain", label="Plain", order=5000, build=lazy(".ui:plain", TabFn)))


@hookimpl
def gesso_register_samplers(registry: Registrar[Sampler]) -> None:
    registry.add(Sampler(name="odd_crash", label="Odd crash", run=lazy(".samplers:crash", SamplerFn)))
    registry.add(Sampler(name="odd_slow", label="Odd slow", run=lazy(".samplers:slow", SamplerFn)))
