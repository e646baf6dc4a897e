"""The task "verify_models": every model file read through, hashed, and looked at for what would spoil pictures."""

from __future__ import annotations

from gesso import Params, Registrar, ResolveTaskFn, Task, TaskFn, hookimpl, lazy, param

api = "1"


class VerifyParams(Params):
    """Which model files to look at, and what for."""

    role: str = param("", label="Kind", description="checkpoint, vae, lora, …; empty: all kinds")
    models: list[str] = param([], label="Models", description="names, separated by commas; empty: all of that kind")
    hashes: bool = param(True, label="Hashes", description="compute the SHA-256 and compare it with what is known")
    values: bool = param(True, label="Values", description="look at every number for NaN and infinity")


@hookimpl
def gesso_register_tasks(registry: Registrar[Task]) -> None:
    registry.add(
        Task(
            name="verify_models",
            label="Verify models",
            description="Reads every model file: complete, unchanged, no broken numbers; computes hashes.",
            params=VerifyParams,
            resolve=lazy(".files:resolve", ResolveTaskFn),
            run=lazy(".verify:run", TaskFn),
            example={"role": "checkpoint"},
        )
    )
