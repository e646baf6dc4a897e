"""The plugin host: loads plugins behind a boundary each, keeps their states, fills registries, and dispatches hooks.

A Host belongs to the program that makes it; nothing is global but what Python itself shares (sys.modules).
"""

from __future__ import annotations

import atexit
import inspect
import os
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, perf_counter_ns
from types import FunctionType, ModuleType
from typing import Any, Self

import pluggy

import gesso.hookspecs
from gesso import deprecated
from gesso.errors import InvalidInputError, LazyReferenceError, RegistrationError, UnknownNameError
from gesso.paths import Paths
from gesso.plugins import boundary
from gesso.plugins.boundary import Failure, Interrupts, api_of, explain, open_plugin, watch_interrupts
from gesso.plugins.cache import Verdict, read_disabled
from gesso.plugins.discovery import BUILT_IN, Entry, discover
from gesso.plugins.dispatch import Dispatcher, Process, log
from gesso.plugins.following import Following
from gesso.plugins.guard import HeavyGuard, owner_of
from gesso.plugins.installs.blocklist import blocked_plugins
from gesso.plugins.limits import alarmed
from gesso.plugins.marks import LoadMark
from gesso.plugins.registries import REGISTRIES, REGISTRY_HOOKS, SPECS, KeyOwners, kind_of
from gesso.plugins.selection import Selection, find_one
from gesso.plugins.shared import Shared
from gesso.plugins.state import Implementation, LivePlugin
from gesso.plugins.surroundings import shielded
from gesso.plugins.trace import Tracer
from gesso.plugins.verdicts import absolve, judge
from gesso.registry import Registrar, Registry
from gesso.types import PluginState

__all__ = ["Host", "Selection"]


class _Manager(pluggy.PluginManager):
    """pluggy's manager, which remembers the hook functions of the plugin that was registered last."""

    def __init__(self) -> None:
        super().__init__("gesso")
        self.add_hookspecs(gesso.hookspecs)
        self.found: list[str] = []

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        if isinstance(plugin, ModuleType):  # the common case, without pluggy's careful lookup of descriptors
            function = vars(plugin).get(name)
            options = getattr(function, "gesso_impl", None) if isinstance(function, FunctionType) else None
        else:
            options = super().parse_hookimpl_opts(plugin, name)
        if options is not None:
            self.found.append(name)
        return options


@dataclass
class Outcome:
    """What came of code that ran in `Host.guarded`."""

    error: BaseException | None = None


class Host(Dispatcher):
    """The plugins of one process. Make it with `Host.load`."""

    def __init__(self, process: Process = "host", *, home: Path | str | None = None) -> None:
        super().__init__(process, SPECS)
        self.paths = Paths.of(home)
        self.keys = KeyOwners()
        """Owners of infotext keys and API names; complete once `registry("params")` has been asked for."""
        self.plugins_dir: Path | None = None
        self._disabled: set[str] = set()
        self._following = Following(self)
        self._tracer = Tracer.from_environment(process)
        self._manager = _Manager()
        self._plugins: dict[str, LivePlugin] = {}
        self._by_hook: dict[str, list[Implementation]] = {}
        self._wrappers: dict[str, list[Implementation]] = {}
        self._registries: dict[str, Registry[Any]] = {}
        self._lock = threading.RLock()
        self._owners: dict[str, str] = {}
        """Package → plugin id, of what is imported here; the package all built-ins share is nobody's."""
        self._shared: Shared | None = None
        self._guard: HeavyGuard | None = None

    @classmethod
    def load(
        cls,
        process: Process = "host",
        *,
        home: Path | str | None = None,
        selection: Selection | None = None,
        probe: bool = True,
        heavy_allowed: bool = False,
    ) -> Host:
        """Load all selected plugins. No plugin's failure raises; it becomes that plugin's state.

        `process` "both" is for running jobs inline. `probe` imports plugins without a good verdict in the cache in a
        child process first; False trusts them. In the host, unless `heavy_allowed`, importing torch, diffusers,
        transformers or bitsandbytes fails from now on until `close`. UnknownNameError when the selection names a plugin
        that does not exist.
        """
        host = cls(process, home=home)
        selection = selection or Selection()
        host.plugins_dir = selection.plugins_dir
        found = discover(selection.plugins_dir)
        _work_around(found.malformed)
        left_out = selection.left_out(found.entries) | blocked_plugins(host.paths, found.entries)
        disabled = read_disabled(host.paths.plugin_settings)
        host._disabled = disabled - set(left_out)
        wanted = []
        for entry in found.entries:
            plugin = host._plugins[entry.id] = LivePlugin(entry)
            if entry.error:
                plugin.fail(Failure("failed", "discovery", entry.error))
            elif entry.id in disabled:
                plugin.fail(Failure("disabled", "", "", hint=f"gesso plugins enable {entry.id}"))
            elif entry.id in left_out:
                plugin.fail(Failure("disabled", "", "", hint=left_out[entry.id]))
            else:
                wanted.append(entry)
        verdicts = judge(wanted, found, host.paths, probe=probe)
        if process == "host" and not heavy_allowed:
            host._guard = HeavyGuard(owners=host._owners)
            host._guard.install()
        try:
            host._shared = Shared(host._owners)
            host._load_all(wanted, verdicts)
            host.watch(())
        except BaseException:
            host.close(timeout=0)
            raise
        atexit.register(_close, weakref.ref(host))
        return host

    def close(self, timeout: float = 2.0) -> None:
        """Give waiting events up to `timeout` seconds, and lift the import guard. Called at exit if not before."""
        deadline = time.monotonic() + timeout
        for queue in list(self._queues.values()):
            queue.drain(deadline)
        if self._guard is not None:
            self._guard.remove()
        if self._shared is not None:
            self._shared.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- what is known --------------------------------------------------------------------------------------------

    @property
    def states(self) -> list[PluginState]:
        """Every plugin found, in load order, with live counters."""
        return [plugin.snapshot(self.process) for plugin in self._plugins.values()]

    def state(self, name: str) -> PluginState:
        """One plugin's state by `dist:name`, name or distribution; UnknownNameError lists near matches."""
        return self._find(name).snapshot(self.process)

    def _find(self, name: str) -> LivePlugin:
        return self._plugins[find_one(name, [plugin.entry for plugin in self._plugins.values()]).id]

    def is_disabled(self, id_: str) -> bool:
        """Whether it is left out here because a person has disabled it."""
        return id_ in self._disabled

    def follow(self) -> list[str]:
        """Take plugins out of use, or into it, as a person has said meanwhile; the ids of those that were switched.

        What is built into the page or into a loaded model waits for the next start. A host does this when somebody
        looks, a worker between jobs.
        """
        return self._following.follow()

    def versions(self) -> dict[str, str]:
        """Distribution → version of the plugins in use."""
        used = (plugin.entry for plugin in self._plugins.values() if plugin.state in ("enabled", "quarantined"))
        return {entry.dist: entry.version for entry in used}

    def reset(self, name: str) -> None:
        """Forget a plugin's errors and lift its quarantine: it is called again, with a fresh error budget.

        What was never loaded stays as it is: that takes a new start.
        """
        plugin = self._find(name)
        if plugin.state in ("enabled", "quarantined"):
            plugin.reset()
            self._plans.clear()

    def note(self, name: str, error: BaseException, *, phase: str, hook: str = "") -> None:
        """Hold an error outside of a hook against a plugin: it is counted, logged and shown, and the plugin goes on.

        `hook` says in what, such as "the tab clock". Nothing happens when `name` is no plugin's.
        """
        plugin = self._plugins.get(name)
        if plugin is None:
            return
        plugin.other_errors += 1
        failure = explain(plugin.entry, phase, error)
        plugin.show(failure, hook)
        self._log(plugin, hook, phase, failure.error, error)
        for listener in list(self.error_listeners):
            listener(plugin, hook, failure)

    def blame(self, error: BaseException, default: str = "") -> str:
        """The plugin in whose code an error arose: the innermost frame that is a plugin's, but for built-ins."""
        cause: BaseException | None = error
        found = ""
        while cause is not None and not found:
            for frame, _ in traceback.walk_tb(cause.__traceback__):
                found = owner_of(str(frame.f_globals.get("__name__", "")), self._foreign) or found
            if isinstance(cause, LazyReferenceError):
                found = found or owner_of(cause.module, self._foreign)
            cause = cause.__cause__ or cause.__context__
        return found or default

    @property
    def _foreign(self) -> dict[str, str]:
        return {package: id_ for package, id_ in self._owners.items() if not id_.startswith(f"{BUILT_IN}:")}

    @contextmanager
    def guarded(self, plugin: str, *, phase: str, hook: str) -> Iterator[Outcome]:
        """Run a plugin's code that is no hook, such as the building of a tab; what it raises is its error and no more.

        `Outcome.error` says what happened. Whatever the code changed for everybody (streams, working folder, functions
        of libraries, registries) is put back, and such a change is an error too.
        """
        outcome = Outcome()
        with watch_interrupts() as interrupts, shielded():
            try:
                with alarmed():
                    yield outcome
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt) and interrupts.real:
                    raise
                outcome.error = error
                self.note(plugin, error, phase=phase, hook=hook)
        for change in self._settle(plugin, hook):
            outcome.error = outcome.error or change

    # --- what all share -------------------------------------------------------------------------------------------

    def watch(self, modules: Sequence[str]) -> None:
        """Notice it, from now on, when a plugin replaces functions of these modules, as far as they are imported."""
        if self._shared is not None:
            self._shared.watch(modules)

    def settle(self, plugin: LivePlugin | None, hook: str) -> None:
        if plugin is None or not plugin.entry.built_in:
            self._settle("" if plugin is None else plugin.entry.id, hook)

    def tidy(self) -> None:
        """Put back what plugins have changed for everybody; a worker does this after every job."""
        self._settle("", "a job")

    def _settle(self, suspect: str, hook: str) -> list[Exception]:
        errors: list[Exception] = []

        def told(plugin: str, error: Exception) -> None:
            errors.append(error)
            self.note(plugin, error, phase="patch", hook=hook)

        if self._shared is not None:
            self._shared.settle(suspect, told)
        return errors

    # --- registries -----------------------------------------------------------------------------------------------

    def registry(self, name: str) -> Registry[Any]:
        """The registry called `name` ("samplers"), filled on first use; UnknownNameError for no such registry."""
        if name not in self._registries:
            with self._lock:
                if name not in self._registries:
                    self._fill(name)
        return self._registries[name]

    def fill(self) -> None:
        """Fill every registry now, so that all states are final.

        A server and a worker do this at start: while plugins register, descriptor 1 is redirected for all threads.
        """
        for name in REGISTRIES:
            self.registry(name)
        absolve(self.paths, [plugin.entry.id for plugin in self._plugins.values() if plugin.state == "enabled"])

    def _fill(self, name: str) -> None:
        if name not in REGISTRIES:
            raise UnknownNameError("registry", name, REGISTRIES)
        hook, item_type = REGISTRY_HOOKS[name], REGISTRIES[name]
        registry: Registry[Any] = Registry(kind_of(item_type), item_type)
        implementations = list(self._by_hook.get(hook, ())) if self._runs_here(hook) else []
        with watch_interrupts() as interrupts, shielded() as shield, LoadMark(self.paths.plugin_marks) as mark:
            for implementation in implementations:
                mark.at(implementation.plugin.entry.id)
                self._contribute(implementation, name, registry, interrupts)
                shield.restore()
        self._registries[name] = registry
        self._seal(name)

    def _seal(self, *names: str) -> None:
        """What is registered now is what shall stay."""
        if self._shared is not None:
            for name in names or self._registries:
                self._shared.seal(name, self._registries[name])

    def _runs_here(self, hook: str) -> bool:
        return "both" in (self.process, SPECS[hook].info.process) or self.process == SPECS[hook].info.process

    def _contribute(
        self, implementation: Implementation, name: str, registry: Registry[Any], interrupts: Interrupts
    ) -> None:
        """One plugin's records, all or none: it fills a registry of its own, which is then taken over."""
        plugin, start = implementation.plugin, perf_counter_ns()
        owner = plugin.entry.id
        scratch: Registry[Any] = Registry(registry.kind, REGISTRIES[name])
        implementation.calls += 1
        try:
            implementation.function(*[Registrar(scratch, owner)][: len(implementation.arguments)])
            records = list(scratch)
            if name in ("params", "settings"):
                for record in records:
                    record.params.check_defaults(record.name)
            for record in records:
                registry.add(record, owner=owner)
            if name == "params":
                self.keys.claim(owner, records)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and interrupts.real:
                raise
            implementation.errors += 1
            registry.remove_owner(owner)
            self._expel(plugin, implementation.hook, error)
        finally:
            implementation.total_ns += perf_counter_ns() - start

    def _expel(self, plugin: LivePlugin, hook: str, error: BaseException) -> None:
        """A plugin that fails to register is out as a whole: half a plugin would fail later and less clearly."""
        failure = explain(plugin.entry, "register", error)
        plugin.fail(failure)
        plugin.hook = hook
        self._log(plugin, hook, "register", failure.error, error)
        self._withdraw(plugin)
        for listener in list(self.error_listeners):
            listener(plugin, hook, failure)

    def _withdraw(self, plugin: LivePlugin) -> None:
        """Take a plugin out: its hooks, its records, its keys."""
        self._unregister(plugin)
        for registry in self._registries.values():
            registry.remove_owner(plugin.entry.id)
        self.keys.release(plugin.entry.id)
        self._seal()

    # --- loading --------------------------------------------------------------------------------------------------

    def _load_all(self, entries: Sequence[Entry], verdicts: dict[str, Verdict]) -> None:
        with watch_interrupts() as interrupts, shielded() as shield, LoadMark(self.paths.plugin_marks) as mark:
            for entry in entries:
                plugin = self._plugins[entry.id]
                verdict = verdicts.get(entry.id)
                if verdict is not None:
                    plugin.capabilities, plugin.warnings = verdict.capabilities, verdict.warnings
                if verdict is not None and not verdict.ok:
                    _take_over(plugin, verdict)
                    continue
                mark.at(entry.id)
                start = perf_counter()
                self._load(plugin, interrupts)
                plugin.import_ms = (perf_counter() - start) * 1000
                shield.restore()

    def _load(self, plugin: LivePlugin, interrupts: Interrupts) -> None:
        entry, phase = plugin.entry, "import"
        self._owners[entry.value.partition(":")[0].rpartition(".")[0].strip() or entry.package] = entry.id
        if not entry.built_in:
            self._owners[entry.package] = entry.id
        with deprecated.noted() as said:
            try:
                code = open_plugin(entry)
                plugin.api = api_of(code)
                phase = "register"
                self._register(plugin, code)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt) and interrupts.real:
                    raise
                self._unregister(plugin)
                failure = explain(entry, phase, error)
                plugin.fail(failure)
                self._log(plugin, "", phase, failure.error, error)
            else:
                said += filter(None, [deprecated.of_api(plugin.api, boundary.SUPPORTED_APIS)])
        plugin.warnings = (*plugin.warnings, *said)

    def _register(self, plugin: LivePlugin, code: Any) -> None:
        """Register with pluggy, which checks argument names, and check what pluggy does not."""
        other = self._manager.get_name(code)
        if other is not None:
            raise RegistrationError(f"It names the same object as {other}.", hint="Remove one of the entry points.")
        self._manager.found.clear()
        try:
            self._manager.register(code, plugin.entry.id)
        except pluggy.PluginValidationError as error:
            raise InvalidInputError(str(error).splitlines()[-1] if str(error) else repr(error)) from error
        for name in self._manager.found:
            found = next(i for i in reversed(getattr(self._manager.hook, name).get_hookimpls()) if i.plugin is code)
            if name not in SPECS:
                if found.optionalhook:
                    continue
                raise UnknownNameError("hook", name, SPECS)
            phase = getattr(found.function, "__gesso_phase__", "")
            _check(name, found.function, wrapper=found.wrapper or found.hookwrapper, phase=phase)
            table = self._wrappers if found.wrapper else self._by_hook
            function: Callable[..., Any] = found.function
            if self._tracer is not None:
                function = self._tracer.traced(plugin.entry.id, name, found.argnames, function)
            implementation = Implementation(plugin, name, function, tuple(found.argnames), phase)
            plugin.implementations.append(implementation)
            table.setdefault(name, []).append(implementation)
        plugin.hooks = tuple(i.hook for i in plugin.implementations)
        self._plans.clear()

    def _unregister(self, plugin: LivePlugin) -> None:
        if self._manager.has_plugin(plugin.entry.id):
            self._manager.unregister(name=plugin.entry.id)
        for table in (self._by_hook, self._wrappers):
            for implementation in plugin.implementations:
                if implementation in table.get(implementation.hook, ()):
                    table[implementation.hook].remove(implementation)
        self._plans.clear()

    def _implementations(self, hook: str) -> tuple[list[Implementation], list[Implementation]]:
        return list(self._by_hook.get(hook, ())), list(self._wrappers.get(hook, ()))


def _work_around(malformed: Sequence[str]) -> None:
    """torch reads every distribution's entry points when it is imported; one that is malformed would take it down."""
    if malformed:
        os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")
        log.warning(
            "The entry_points.txt of %s is malformed, which breaks other programs in this environment too. Remove it "
            "with pip uninstall. Meanwhile torch looks for no device backends of other distributions.",
            ", ".join(malformed),
        )


def _close(reference: weakref.ref[Host]) -> None:
    if (host := reference()) is not None:
        host.close()


def _take_over(plugin: LivePlugin, verdict: Verdict) -> None:
    """The probe's verdict as the plugin's state."""
    plugin.fail(Failure(verdict.state, verdict.phase, verdict.error, verdict.traceback, verdict.hint))  # type: ignore[arg-type]
    plugin.api, plugin.hooks, plugin.import_ms = verdict.api, verdict.hooks, verdict.import_ms


def _check(hook: str, function: Any, *, wrapper: bool, phase: str) -> None:
    """What a hook implementation must be beyond pluggy's rules; InvalidInputError says what is wrong."""
    info = SPECS[hook].info
    if wrapper and info.verb != "choose":
        raise InvalidInputError(f"{hook} is implemented as a wrapper; wrapper=True is for choose hooks only.")
    if phase and phase not in info.phases:
        known = ", ".join(info.phases) or "none"
        raise InvalidInputError(f"{hook} is implemented for the phase {phase!r}; its phases are: {known}.")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidInputError(f"{hook} is implemented with async def; hooks are plain functions.")
