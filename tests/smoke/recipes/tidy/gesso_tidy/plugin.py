"""Tidies prompts."""

from __future__ import annotations

from gesso import Params, Record, Registrar, Request, hookimpl, param

api = "1"


class Tidy(Params):
    """Whether prompts are tidied."""

    enabled: bool = param(True, infotext="Tidy")


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name="tidy", label="Tidy prompts", params=Tidy))


@hookimpl(phase="style")
def gesso_filter_prompt(prompt: str, request: Request) -> str | None:
    asked = Tidy.parse(request.params.get("tidy", {}), where="tidy")
    return " ".join(prompt.split()) if asked.enabled else None
