"""The resolved order of stages: by anchor, then `after`/`before`, then name."""

from __future__ import annotations

from collections.abc import Iterable

from gesso.contributions import ANCHORS, Stage


def resolve_order(stages: Iterable[Stage]) -> tuple[list[Stage], dict[str, str]]:
    """(stages in order, problems by stage name).

    `after`/`before` act within an anchor; names that are absent are ignored. A stage whose wishes close a cycle with
    those registered before it is left out and listed among the problems.
    """
    problems: dict[str, str] = {}
    kept: list[Stage] = []
    for stage in stages:
        if stage.anchor not in ANCHORS:
            problems[stage.name] = f"names the unknown anchor {stage.anchor!r}; there are {', '.join(ANCHORS)}"
        elif _sorted([*kept, stage]) is None:
            problems[stage.name] = "its after/before close a cycle with stages registered earlier"
        else:
            kept.append(stage)
    return _sorted(kept) or [], problems


def _sorted(stages: list[Stage]) -> list[Stage] | None:
    """The order, or None when the wishes contradict each other."""
    result: list[Stage] = []
    for anchor in ANCHORS:
        open_ = {s.name: s for s in stages if s.anchor == anchor}
        follows = {name: {a for a in s.after if a in open_} for name, s in open_.items()}
        for name, s in open_.items():
            for later in s.before:
                if later in follows:
                    follows[later].add(name)
        while open_:
            ready = sorted(name for name in open_ if not follows[name] & open_.keys())
            if not ready:
                return None
            result.append(open_.pop(ready[0]))
    return result
