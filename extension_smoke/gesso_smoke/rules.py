"""What a check is. Each stands in a file of its own in `checks/`; the file's name is the check's."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn
from unittest import SkipTest

Needs = Literal["nothing", "import", "records", "code"]

ORDER = (
    "probe", "light_imports", "import_time", "import_memory", "no_network", "no_subprocess", "no_files_written",
    "no_leftovers", "light_references", "metadata", "locales",
    "registers", "no_clashes", "same_in_any_order", "leaves_host", "described",
    "lazy_resolves", "lazy_signatures",
    "params_defaults", "params_json", "params_infotext", "params_cli", "params_api", "params_a1111", "params_upgrade",
    "sampler_finite", "sampler_dtype", "sampler_converges", "sampler_fresh_noise", "sampler_seed", "sampler_batch",
    "sampler_steps", "sampler_inputs", "sampler_no_wait",
    "schedule_length", "schedule_decreasing", "schedule_start",
    "guider_scale_one", "guider_finite", "guider_clock",
    "operator_linear", "operator_layers",
    "family_detection", "family_references", "family_sampling",
    "stage_anchor", "tab_builds", "route_builds", "route_answers", "task_runs", "task_cancel",
    "adapter_detection", "adapter_applies",
    "demo_picture", "weights_restored", "no_patches",
)  # fmt: skip
"""Cheap before dear; `no_patches` last, since it looks at what all others have left behind."""


PICTURES = ("adapter_applies", "demo_picture", "weights_restored")
"""Those that load the demo model, which `--quick` leaves out."""


class BrokenRuleError(AssertionError):
    """The plugin does not keep the rule; the text says where and what was expected."""


class NotApplicable(SkipTest):
    """The rule cannot be tried here; the text says why. pytest shows it as skipped."""


@dataclass(frozen=True)
class Rule:
    """A check and what it is held against."""

    name: str
    title: str
    of: str
    """"plugin", "params", or the registry whose records are tried one by one."""
    needs: Needs
    """What must work before this can be tried: nothing, the import, the records, or a record's code as well."""
    check: Callable[..., None]


def rule(name: str) -> Rule:
    """The check of that name. Its module may import torch."""
    module: Any = importlib.import_module(f"gesso_smoke.checks.{name}")
    title = (module.__doc__ or "").strip().splitlines()[0]
    return Rule(name, title, module.OF, module.NEEDS, module.check)


def all_rules() -> list[Rule]:
    """Every check in the order in which they are run."""
    return [rule(name) for name in ORDER]


def broken(message: str) -> NoReturn:
    """Say how the rule is broken."""
    raise BrokenRuleError(message)


def require(condition: object, message: str) -> None:
    """Raise BrokenRuleError unless the condition holds."""
    if not condition:
        raise BrokenRuleError(message)
