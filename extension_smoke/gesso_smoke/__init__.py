"""The contract suite every plugin passes: `gesso smoke`, and base classes for a plugin's own pytest tests.

from gesso_smoke import SamplerContract

class TestHalfway(SamplerContract):
    plugin = "halfway"
"""

from __future__ import annotations

from gesso_smoke.contracts import (
    AdapterContract,
    Contract,
    FamilyContract,
    GuiderContract,
    OperatorContract,
    ParamsContract,
    PluginContract,
    RouteContract,
    SamplerContract,
    SchedulerContract,
    StageContract,
    TabContract,
    TaskContract,
)
from gesso_smoke.rules import BrokenRuleError, NotApplicable, Rule, all_rules
from gesso_smoke.subject import Subject

__all__ = [
    "AdapterContract",
    "BrokenRuleError",
    "Contract",
    "FamilyContract",
    "GuiderContract",
    "NotApplicable",
    "OperatorContract",
    "ParamsContract",
    "PluginContract",
    "RouteContract",
    "Rule",
    "SamplerContract",
    "SchedulerContract",
    "StageContract",
    "Subject",
    "TabContract",
    "TaskContract",
    "all_rules",
]
