"""The resolved order of stages."""

from __future__ import annotations

from gesso import Stage, StageFn, lazy
from gesso.engine.stages import resolve_order


def stage(name: str, anchor: str = "sample", *, after: tuple[str, ...] = (), before: tuple[str, ...] = ()) -> Stage:
    return Stage(name=name, anchor=anchor, run=lazy("m:f", StageFn), after=after, before=before)


def names(*stages: Stage) -> list[str]:
    return [s.name for s in resolve_order(stages)[0]]


def test_anchors_come_first_then_names() -> None:
    assert names(stage("a", "save"), stage("c"), stage("b"), stage("z", "prepare")) == ["z", "b", "c", "a"]


def test_after_and_before_within_an_anchor() -> None:
    assert names(stage("a", after=("c",)), stage("b"), stage("c")) == ["b", "c", "a"]
    assert names(stage("b"), stage("c", before=("b",)), stage("a", after=("b",))) == ["c", "b", "a"]


def test_absent_names_are_soft() -> None:
    assert names(stage("a", after=("nobody",), before=("nothing",))) == ["a"]


def test_wishes_across_anchors_change_nothing() -> None:
    assert names(stage("a", "save", before=("b",)), stage("b", "load")) == ["b", "a"]


def test_a_cycle_fails_the_later_one() -> None:
    order, problems = resolve_order([stage("a", after=("b",)), stage("b", after=("a",)), stage("c")])
    assert [s.name for s in order] == ["a", "c"]
    assert "cycle" in problems["b"]


def test_an_unknown_anchor_is_a_problem() -> None:
    order, problems = resolve_order([stage("a", "smaple")])
    assert order == []
    assert "smaple" in problems["a"]


def test_the_order_does_not_depend_on_registration() -> None:
    stages = [stage("a"), stage("b", after=("d",)), stage("c", before=("a",)), stage("d")]
    assert names(*stages) == names(*reversed(stages)) == ["c", "a", "d", "b"]
