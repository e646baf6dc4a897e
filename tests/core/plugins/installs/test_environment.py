"""Who needs what, what the core is, and pip's words made one explanation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gesso.plugins.installs.environment import (
    Dist,
    conflicts,
    constraints,
    core_pins,
    installed,
    orphans,
    reachable,
    who_needs,
)
from gesso.plugins.installs.errors import InstallError
from gesso.plugins.installs.explain import explain
from gesso.plugins.installs.manage import check_environment


def dists(*rows: tuple[Any, ...]) -> dict[str, Dist]:
    """(name, version, needs, was it asked for)."""
    return {name: Dist(name, version, tuple(needs), requested=asked) for name, version, needs, asked in rows}


SOME = dists(
    ("gesso", "1", ["torch>=2", "server[fast]"], True), ("torch", "2.5+cpu", ["numpy"], False),
    ("numpy", "2.1", [], False), ("server", "3", ["quick; extra == 'fast'", "slow; extra == 'slow'"], False),
    ("quick", "1", [], False), ("pip", "23", [], True),
    ("gesso-a", "1", ["gesso", "dep<2", "numpy"], True), ("dep", "1.5", ["deeper"], False),
    ("deeper", "1", [], False), ("gesso-b", "1", ["shared"], True), ("gesso-c", "1", ["shared", "own"], True),
    ("shared", "1", [], False), ("own", "1", [], True),
)  # fmt: skip


def test_the_core_is_all_that_gesso_needs():
    assert core_pins(SOME) == {
        "gesso": "1", "torch": "2.5+cpu", "numpy": "2.1", "server": "3", "quick": "1", "pip": "23"
    }  # fmt: skip


def test_the_core_of_this_very_environment():
    pins = core_pins(installed())
    assert {"torch", "numpy", "transformers", "gradio", "pydantic", "safetensors", "pip", "gesso"} <= set(pins)
    assert "pytest" not in pins
    assert pins["numpy"] == constraints()["numpy"]


def test_a_part_of_the_core_that_is_missing_is_held_to_the_tested_version():
    bare = {name: dist for name, dist in SOME.items() if name != "torch"}
    assert core_pins(bare)["torch"] == constraints()["torch"]


def test_without_gesso_itself_nothing_is_known():
    with pytest.raises(InstallError, match="gesso itself is not installed"):
        core_pins({})


def test_conflicts_name_both_sides():
    assert conflicts(SOME) == []
    broken = {**SOME, "dep": Dist("dep", "2.0"), "gesso-d": Dist("gesso-d", "1", ("nothing", "bad ! line"))}
    assert list(map(str, conflicts(broken))) == [
        "gesso-a 1 needs dep<2, and 2.0 is installed", "gesso-d 1 needs nothing, and none is installed",
    ]  # fmt: skip
    assert [str(dist) for dist, _ in who_needs("Shared", SOME)] == ["gesso-b 1", "gesso-c 1"]


def test_orphans_are_what_came_along_and_nobody_needs():
    assert reachable(["gesso-a"], SOME) >= {"dep", "deeper", "numpy"}
    assert orphans(["gesso-a"], SOME) == ["deeper", "dep"]
    assert orphans(["gesso-b"], SOME) == []
    assert orphans(["gesso-b", "gesso-c"], SOME) == ["shared"]  # and not own, which was asked for


NEWER = """ERROR: Cannot install gesso-a==1.0 and gesso-b==1.0 because these have conflicting dependencies.

The conflict is caused by:
    gesso-a 1.0 depends on dep<2
    gesso-b[fast] 1.0 depends on dep>=2

Additionally, some packages in these conflicts have no matching distributions available for your environment:
    dep

ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/
"""
CORE = """Collecting deep>0 (from gesso-x)
The conflict is caused by:
    deep 1 depends on numpy<2
    The user requested (constraint) numpy==2.1
ERROR: ResolutionImpossible: x
"""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (NEWER, ["gesso-a 1.0 needs dep<2", "gesso-b[fast] 1.0 needs dep>=2", "Install only one of them"]),
        (
            CORE,
            ["no plugin may do", "deep 1 (for gesso-x) needs numpy<2", "the core keeps numpy 2.1 for torch 2.5+cpu"],
        ),
        (
            "    gesso-x 1 depends on dep>3\n    The user requested (constraint) dep<2\nResolutionImpossible",
            ["installed: gesso-a 1 needs dep<2"],
        ),
        ("ResolutionImpossible in other words", ["What is asked for does not go together", "in other words"]),
        ("ERROR: [Errno 28] No space left on device", ["The disk is full"]),
        ("WARNING: Retrying ... NewConnectionError(...)\nERROR: No matching distribution found for x", ["be reached"]),
        ("error: subprocess-exited-with-error\n  SyntaxError: no", ["It cannot be built", "SyntaxError: no"]),
        ("something new", ["pip failed", "something new"]),
    ],
)
def test_what_pip_says_becomes_one_explanation(text: str, parts: list[str]):
    said = str(explain(text, core_pins(SOME), SOME))
    assert [part for part in parts if part not in said] == []
    assert "Nothing was changed." in said


def test_an_environment_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gesso.plugins.installs.manage.os.access", lambda *_: False)
    with pytest.raises(InstallError, match="cannot be written to"):
        check_environment(tmp_path)
