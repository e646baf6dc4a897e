"""The base classes: complete, and nothing can be taken out of them in silence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest

import gesso_smoke
from gesso_smoke import (
    BrokenRuleError,
    Contract,
    NotApplicable,
    PluginContract,
    SamplerContract,
    SchedulerContract,
    Subject,
)
from gesso_smoke.contracts import contract_methods
from gesso_smoke.rules import ORDER, all_rules

CONTRACTS = [getattr(gesso_smoke, name) for name in gesso_smoke.__all__ if name.endswith("Contract")]


def test_every_file_is_a_check_and_every_check_stands_in_one_contract() -> None:
    folder = Path(gesso_smoke.__file__).with_name("checks")
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert files == set(ORDER)
    used = Counter(name.removeprefix("test_") for contract in CONTRACTS for name in contract_methods(contract))
    assert used == Counter(ORDER)


def test_every_check_says_what_it_is() -> None:
    for rule in all_rules():
        assert rule.title.endswith("."), rule.name
        assert rule.of
        assert rule.needs in ("nothing", "import", "records", "code")


@pytest.mark.parametrize(
    "body",
    [
        {"test_sampler_finite": None},
        {"test_sampler_finite": lambda self: None},
        {"test_sampler_finite": property(lambda self: None)},
        {"__test__": False},
    ],
)
def test_a_check_cannot_be_taken_out(body: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"test_sampler_finite|switches"):
        type("TestMine", (SamplerContract,), {"plugin": "samplers", **body})


def test_nor_through_another_base() -> None:
    class Quiet:
        test_sampler_finite = None

    with pytest.raises(TypeError, match="test_sampler_finite"):
        type("TestMine", (Quiet, SamplerContract), {"plugin": "samplers"})


def test_an_xfail_with_a_reason_may_replace_one_and_one_without_may_not() -> None:
    @pytest.mark.xfail(reason="noise at one step")
    def reasoned(self: Contract) -> None:
        raise AssertionError

    type("TestMine", (SamplerContract,), {"plugin": "samplers", "test_sampler_finite": reasoned})

    @pytest.mark.xfail
    def bare(self: Contract) -> None:
        raise AssertionError

    with pytest.raises(TypeError, match="test_sampler_finite"):
        type("TestMine", (SamplerContract,), {"plugin": "samplers", "test_sampler_finite": bare})


@pytest.mark.parametrize(("gaps", "said"), [({"nothing": "why"}, "no check"), ({"sampler_finite": " "}, "no reason")])
def test_known_gaps_name_checks_and_reasons(gaps: dict[str, str], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        type("TestMine", (SamplerContract,), {"plugin": "samplers", "known_gaps": gaps})


class Operators(PluginContract):
    plugin = "operators"
    known_gaps: ClassVar = {"probe": "it is fine, as the suite will say"}


def test_a_gap_that_has_closed_is_an_error() -> None:
    with pytest.raises(BrokenRuleError, match="take it out of known_gaps"):
        Operators().test_probe()
    Operators().test_light_imports()


class Nothing(SchedulerContract):
    plugin = "operators"


SHORT = """
from gesso import Scheduler, ScheduleFn, hookimpl, lazy
api = "1"

@hookimpl
def gesso_register_schedulers(registry):
    registry.add(Scheduler(name="gap_short", run=lazy("gap_short:run", ScheduleFn)))

def run(n, *, model, size, options):
    import torch
    return torch.linspace(model.sigma_max, 0, n + 2, dtype=torch.float64)
"""


def test_a_contract_for_what_a_plugin_does_not_bring_is_an_error() -> None:
    with pytest.raises(BrokenRuleError, match="no schedulers"):
        Nothing().test_schedule_length()


def test_a_gap_that_is_there_is_a_skip_that_tells_the_reason(tmp_path: Path) -> None:
    (tmp_path / "gap_short.py").write_text(SHORT)

    class Schedules(SchedulerContract):
        plugin = "gap_short"
        plugins_dir = tmp_path
        known_gaps: ClassVar = {"schedule_length": "it counts one step too many"}

    with pytest.raises(NotApplicable, match=r"one step too many.*shape \(3,\), not \(2,\)"):
        Schedules().test_schedule_length()
    Schedules().test_schedule_decreasing()


def test_a_contract_without_a_plugin_says_so() -> None:
    class Unnamed(SamplerContract):
        pass

    with pytest.raises(BrokenRuleError, match="names no plugin"):
        Unnamed().test_sampler_finite()


def test_patches_are_looked_for_in_one_child_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin without code for the worker, outside the runner: the child must not start another."""
    from gesso_smoke import run

    started: list[str] = []
    original = run.run_child

    def counted(module: str, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        started.append(module)
        return original(module, request, min(timeout, 300.0))

    monkeypatch.setattr(run, "run_child", counted)
    results = run.in_child(Subject("demo_model"), ["no_patches"])
    assert [(r.check, r.outcome) for r in results] == [("no_patches", "pass")]
    assert started == ["gesso_smoke.run"]
