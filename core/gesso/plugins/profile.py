"""What each plugin costs: at start, for a job, and for each step of it."""

from __future__ import annotations

from typing import Any

from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.plugins.selection import Selection
from gesso.service import Service

STEP_HOOKS = ("gesso_on_step",)


def profile(selection: Selection, steps: int) -> list[dict[str, Any]]:
    """A row a plugin, the dearest first: import, register, job and step in ms, and the number of calls.

    The job is a picture of so many steps with the first model, in this process; with 0 steps there is none. GessoError
    as the job has it: no model, a plugin that cannot be used.
    """
    paths = Paths.of()
    host = Host.load("both", home=paths.home, selection=selection, heavy_allowed=True)
    service = Service(host, paths)
    host.fill()
    try:
        if steps:
            service.run(service.job(service.request({"prompt": "a red circle", "steps": steps, "seed": 1})))
        rows = [_row(state, steps) for state in host.states if state.state in ("enabled", "quarantined")]
    finally:
        service.close()
        host.close()
    return sorted(rows, key=lambda row: -(row["import_ms"] + row["register_ms"] + row["job_ms"]))


def _row(state: Any, steps: int) -> dict[str, Any]:
    register = sum(one.total_ms for one in state.hook_states if one.hook.startswith("gesso_register_"))
    step = sum(one.total_ms for one in state.hook_states if one.hook in STEP_HOOKS)
    return {
        "plugin": state.id, "import_ms": state.import_ms, "register_ms": round(register, 3),
        "job_ms": round(state.total_ms - register, 3), "step_ms": round(step / steps, 4) if steps else 0.0,
        "calls": state.calls, "errors": state.errors, "hooks": [one.model_dump() for one in state.hook_states],
    }  # fmt: skip
