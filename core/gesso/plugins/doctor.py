"""What is wrong with the plugins of this installation, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gesso.plugins.discovery import Discovery, canonical
from gesso.plugins.installs.environment import CORE, Dists, conflicts, plain, reachable, who_needs
from gesso.types import PluginState

ADVICE = {
    "failed": "Update it ({update}), or leave it out: gesso plugins disable {id}",
    "quarantined": "Update it, or give it another chance: gesso plugins reset {id}",
    "incompatible": "Update it ({update}), or gesso.",
    "missing-deps": "Install what it needs ({update}), or leave it out: gesso plugins disable {id}",
    "enabled": "It goes on. If that happens again: gesso plugins report {id}",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be. `about` is a plugin's id or a distribution's name."""

    about: str
    problem: str
    advice: str


def examine(states: Sequence[PluginState], found: Discovery, dists: Dists) -> list[Problem]:
    """Everything wrong: plugins that are not in use or had errors, unmet needs, damaged or doubled metadata."""
    return [*_states(states), *_needs(states, dists), *_metadata(states, found)]


def _states(states: Sequence[PluginState]) -> Iterator[Problem]:
    for state in states:
        if state.state == "disabled" or (state.state == "enabled" and not state.error):
            continue
        where = " ".join(part for part in (state.phase, state.hook) if part)
        advice = ADVICE[state.state].format(id=state.id, update=f"gesso plugins update {state.dist}")
        if state.state not in ("enabled", "quarantined"):
            advice = f"{state.hint} {advice}" if state.hint and state.hint not in advice else advice
        yield Problem(state.id, f"{state.state} [{where}] {state.error}", advice)


def _needs(states: Sequence[PluginState], dists: Dists) -> Iterator[Problem]:
    """Unmet needs of gesso, of plugins, and of what they need; who else needs the same thing is named."""
    ours = {CORE, *(canonical(state.dist) for state in states)} & set(dists)
    concerned = ours | reachable(ours, dists)
    for conflict in conflicts(dists):
        if conflict.dist.name not in concerned:
            continue
        name = canonical(conflict.need.name)
        others = [
            f"{dist} needs {plain(need)}"
            for dist, need in who_needs(name, dists)
            if dist.name != conflict.dist.name and dist.name in concerned and need.specifier
        ]
        if not conflict.found:
            advice = f"Install it: pip install '{plain(conflict.need)}', or remove {conflict.dist.name}."
        elif others:
            advice = f"But {'; '.join(others)}. Remove or update one of them: gesso plugins update {conflict.dist.name}"
        else:
            advice = f"gesso plugins update {conflict.dist.name}, or remove it."
        yield Problem(conflict.dist.name, f"{conflict}.", advice)


def _metadata(states: Sequence[PluginState], found: Discovery) -> Iterator[Problem]:
    for stem in found.malformed:
        name = canonical(stem.partition("-")[0])
        yield Problem(
            name, "Its entry_points.txt is damaged, which breaks other programs of this environment too.",
            f"pip install --force-reinstall {name}, or pip uninstall {name}",
        )  # fmt: skip
    for state in states:
        if "Installed twice" in state.hint:
            yield Problem(state.id, state.hint, f"pip uninstall {state.dist}, until it is gone; then install it again.")
