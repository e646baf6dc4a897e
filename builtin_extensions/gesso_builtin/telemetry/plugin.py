"""How the program is doing, for monitoring: health as JSON and metrics as text, over HTTP."""

from __future__ import annotations

from gesso import Registrar, Route, RouteFn, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_routes(registry: Registrar[Route]) -> None:
    registry.add(Route(name="telemetry", label="Telemetry", build=lazy(".routes:build", RouteFn)))
