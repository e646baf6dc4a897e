"""Base classes for a plugin's own tests: each check is one test method.

Subclass, name the plugin, and run pytest. A check cannot be dropped: replacing one is an error when the class is made.
What is known to fail is said in `known_gaps` with a reason; when it no longer fails, the test says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from gesso_smoke.rules import BrokenRuleError, NotApplicable, rule
from gesso_smoke.subject import Subject, code_problem

_SUBJECTS: dict[tuple[str, Path | None], Subject] = {}


def method(name: str) -> Callable[[Contract], None]:
    """The test method for a check."""

    def test(self: Contract) -> None:
        self.hold(name)

    test.__name__ = test.__qualname__ = f"test_{name}"
    test.__doc__ = f"The check {name}; see gesso_smoke/checks/{name}.py."
    return test


class Contract:
    """What all contracts share. `plugin` is a plugin's name, its distribution, or `dist:name`."""

    plugin: ClassVar[str] = ""
    plugins_dir: ClassVar[Path | None] = None
    """For a plugin that lies in a folder and is not installed."""
    known_gaps: ClassVar[Mapping[str, str]] = {}
    """Check → why it fails for now."""
    old_records: ClassVar[Mapping[str, Mapping[int, list[dict[str, Any]]]]] = {}
    """Record name → version → data as that version stored it, for the check params_upgrade."""
    weights: ClassVar[Mapping[str, tuple[Any, Any]]] = {}
    """Format → (Weight, its values as a tensor), for operators whose formats are not plain numbers."""
    registries: ClassVar[tuple[str, ...]] = ()
    """A contract whose plugin fills none of these has nothing to hold, which is an error."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__ == __name__:
            return
        if getattr(cls, "__test__", True) is False:
            raise TypeError(f"{cls.__name__} switches its contract off (__test__ = False).")
        checks = contract_methods(cls)
        for name, original in checks.items():
            if getattr(cls, name, None) is not original and not _is_xfail(getattr(cls, name, None)):
                raise TypeError(
                    f"{cls.__name__}.{name} replaces a check of its contract. What fails for now goes into known_gaps, "
                    "with a reason, or is marked pytest.mark.xfail(reason=…)."
                )
        for name, reason in cls.known_gaps.items():
            if f"test_{name}" not in checks:
                raise TypeError(f"{cls.__name__}.known_gaps names {name!r}, which is no check of this contract.")
            if not reason.strip():
                raise TypeError(f"{cls.__name__}.known_gaps gives no reason for {name!r}.")

    def subject(self) -> Subject:
        """The plugin under test, shared by all contracts of a run."""
        if not self.plugin:
            raise BrokenRuleError(f"{type(self).__name__} names no plugin: set `plugin`.")
        key = (self.plugin, self.plugins_dir)
        if key not in _SUBJECTS:
            _SUBJECTS[key] = Subject(self.plugin, plugins_dir=self.plugins_dir)
        _SUBJECTS[key].old_records, _SUBJECTS[key].weights = self.old_records, self.weights
        return _SUBJECTS[key]

    def hold(self, name: str) -> None:
        """Try a check. A known gap is a skip, and an error once it is closed."""
        if name not in self.known_gaps:
            self._hold(name)
            return
        try:
            self._hold(name)
        except BrokenRuleError as error:
            raise NotApplicable(f"known gap: {self.known_gaps[name]} ({error})") from None
        raise BrokenRuleError(f"{name} holds now: take it out of known_gaps.")

    def _hold(self, name: str) -> None:
        held, subject = rule(name), self.subject()
        if why := subject.problem(held.needs):
            raise BrokenRuleError(why)
        if self.registries and not any(subject.records.get(registry) for registry in self.registries):
            raise BrokenRuleError(
                f"{subject.id} registers no {' or '.join(self.registries)}: there is nothing to hold."
            )
        items = subject.items(held.of)
        if not items:
            raise NotApplicable(f"{subject.id} has no {held.of}.")
        skipped = []
        for label, item in items:
            if held.needs == "code" and held.of != "plugin" and (why := code_problem(item)):
                raise BrokenRuleError(f"{label}: {why}")
            try:
                held.check(subject) if held.of == "plugin" else held.check(subject, item)
            except NotApplicable as skip:
                skipped.append(str(skip))
            except BrokenRuleError as error:
                raise BrokenRuleError(f"{label}: {error}" if label else str(error)) from None
        if len(skipped) == len(items):
            raise NotApplicable(skipped[0])


def contract_methods(cls: type[Contract]) -> dict[str, Any]:
    """The checks of a contract as this module defines them."""
    bases = [base for base in reversed(cls.__mro__) if base.__module__ == __name__]
    return {n: v for base in bases for n, v in vars(base).items() if n.startswith("test_")}


def _is_xfail(function: Any) -> bool:
    """Whether a function carries pytest's xfail mark with a reason."""
    marks = getattr(function, "pytestmark", ())
    return callable(function) and any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in marks)


class PluginContract(Contract):
    """What every plugin keeps, whatever it does."""

    test_probe = method("probe")
    test_light_imports = method("light_imports")
    test_import_time = method("import_time")
    test_import_memory = method("import_memory")
    test_no_network = method("no_network")
    test_no_subprocess = method("no_subprocess")
    test_no_files_written = method("no_files_written")
    test_no_leftovers = method("no_leftovers")
    test_light_references = method("light_references")
    test_metadata = method("metadata")
    test_locales = method("locales")
    test_registers = method("registers")
    test_no_clashes = method("no_clashes")
    test_same_in_any_order = method("same_in_any_order")
    test_leaves_host = method("leaves_host")
    test_described = method("described")
    test_lazy_resolves = method("lazy_resolves")
    test_lazy_signatures = method("lazy_signatures")
    test_demo_picture = method("demo_picture")
    test_no_patches = method("no_patches")


class ParamsContract(Contract):
    """Parameter records: features', settings', and the options of samplers, schedules and guiders."""

    test_params_defaults = method("params_defaults")
    test_params_json = method("params_json")
    test_params_infotext = method("params_infotext")
    test_params_cli = method("params_cli")
    test_params_api = method("params_api")
    test_params_a1111 = method("params_a1111")
    test_params_upgrade = method("params_upgrade")


class SamplerContract(Contract):
    """Samplers, on a problem whose answer is known."""

    registries = ("samplers",)
    test_sampler_finite = method("sampler_finite")
    test_sampler_dtype = method("sampler_dtype")
    test_sampler_converges = method("sampler_converges")
    test_sampler_fresh_noise = method("sampler_fresh_noise")
    test_sampler_seed = method("sampler_seed")
    test_sampler_batch = method("sampler_batch")
    test_sampler_steps = method("sampler_steps")
    test_sampler_inputs = method("sampler_inputs")
    test_sampler_no_wait = method("sampler_no_wait")


class SchedulerContract(Contract):
    """Sigma schedules."""

    registries = ("schedulers",)
    test_schedule_length = method("schedule_length")
    test_schedule_decreasing = method("schedule_decreasing")
    test_schedule_start = method("schedule_start")


class GuiderContract(Contract):
    """Guiders."""

    registries = ("guiders",)
    test_guider_scale_one = method("guider_scale_one")
    test_guider_finite = method("guider_finite")
    test_guider_clock = method("guider_clock")


class OperatorContract(Contract):
    """Operators."""

    registries = ("operators",)
    test_operator_linear = method("operator_linear")
    test_operator_layers = method("operator_layers")


class FamilyContract(Contract):
    """Model families, text encoders and autoencoders."""

    registries = ("families", "text_encoders", "vaes")
    test_family_detection = method("family_detection")
    test_family_references = method("family_references")
    test_family_sampling = method("family_sampling")


class StageContract(Contract):
    """Stages."""

    registries = ("stages",)
    test_stage_anchor = method("stage_anchor")


class AdapterContract(Contract):
    """What reaches into the model (LoRA and its kin) and must leave no trace: kinds of adapters, and wrappers."""

    test_adapter_detection = method("adapter_detection")
    test_adapter_applies = method("adapter_applies")
    test_weights_restored = method("weights_restored")


class TaskContract(Contract):
    """Tasks."""

    registries = ("tasks",)
    test_task_runs = method("task_runs")
    test_task_cancel = method("task_cancel")


class RouteContract(Contract):
    """HTTP routes."""

    registries = ("routes",)
    test_route_builds = method("route_builds")
    test_route_answers = method("route_answers")


class TabContract(Contract):
    """Tabs."""

    registries = ("tabs",)
    test_tab_builds = method("tab_builds")
