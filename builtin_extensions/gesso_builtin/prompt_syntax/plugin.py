"""A1111's prompt language: weights, schedules, alternation, AND, BREAK, comments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gesso import Params, Record, Registrar, hookimpl, param

if TYPE_CHECKING:
    from gesso import Prompt, PromptParser, RunContext

api = "1"


class PromptSyntax(Params):
    """How prompts are read."""

    emphasis: Literal["Original", "No norm", "Ignore", "None"] = param(
        "Original",
        label="Emphasis mode",
        infotext="Emphasis",
        description="What a weight does to its tokens. None: brackets are text.",
    )
    old_schedules: bool = param(
        False,
        label="Old prompt editing timelines",
        infotext="Old prompt editing timelines",
        description="As A1111 before 1.6: [a:b:1.0] switches after step 1.",
        advanced=True,
    )


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name="prompt_syntax", label="Prompt syntax", group="Prompt", params=PromptSyntax))


@hookimpl
def gesso_choose_prompt_reading(prompt: str, role: str, steps: int) -> Prompt:
    from .parser import A1111Parser
    from .schedule import Clock

    return A1111Parser(Clock(steps), composable=role == "positive")(prompt)


@hookimpl
def gesso_choose_prompt_parser(ctx: RunContext, role: str, steps: int) -> PromptParser:
    from .parser import A1111Parser
    from .schedule import Clock

    options = ctx.params("prompt_syntax", PromptSyntax)
    clock = Clock(steps, passed=ctx.calls_before, old=options.old_schedules)
    return A1111Parser(clock, composable=role == "positive", emphasis=options.emphasis)
