"""Calling hooks. Each implementation is tried, timed and counted; after three errors its plugin is no longer called.

pluggy's own call stops at the first exception and cannot tell whose time it spent, so the five verbs are called here
(pluggy still validates and keeps the implementations).
"""

from __future__ import annotations

import builtins
import copy
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import gesso
from gesso.errors import InvalidInputError, JobCancelledError
from gesso.hookspecs import SpecInfo
from gesso.plugins.boundary import Failure, explain
from gesso.plugins.events import EventQueue
from gesso.plugins.limits import HookTimeoutError, limited
from gesso.plugins.state import Implementation, LivePlugin

Process = Literal["host", "worker", "both"]
ErrorListener = Callable[[LivePlugin, str, Failure], None]
T = TypeVar("T")

MAX_ERRORS = 3
"""Errors after which a plugin is no longer called for a hook."""
PASS = (JobCancelledError, InvalidInputError)
"""Not a plugin's failure: a person cancelled, or a plugin says that what the person gave cannot be used."""

LIFE = ("gesso_on_startup", "gesso_on_shutdown")
"""Events of a process and not of a job."""

log = logging.getLogger("gesso.plugins")


@dataclass(frozen=True)
class HookSpec:
    """A hook's declaration: SpecInfo and the names of its arguments."""

    name: str
    info: SpecInfo
    arguments: tuple[str, ...]
    returns: str = ""
    """The annotation of what it returns, without "| None"."""

    @cached_property
    def answer(self) -> type[Any] | None:
        """The class an answer must be of; None where any will do, or a protocol says what."""
        kind = getattr(builtins, self.returns, None) or getattr(gesso, self.returns, None)
        return kind if isinstance(kind, type) and not getattr(kind, "_is_protocol", False) else None


class Plan:
    """Who is called for a hook and with which arguments, worked out once."""

    __slots__ = ("calls", "signatures", "spec", "wrappers")

    def __init__(
        self, spec: HookSpec, plain: Sequence[Implementation], wrappers: Sequence[Implementation] = ()
    ) -> None:
        self.spec = spec
        self.signatures = list(dict.fromkeys(i.arguments for i in (*plain, *wrappers)))
        self.calls = [(i, self.signatures.index(i.arguments)) for i in plain]
        self.wrappers = [(i, self.signatures.index(i.arguments)) for i in wrappers]

    def bind(self, kwargs: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The argument tuple of each distinct signature; implementations may take fewer arguments than the spec."""
        if kwargs.keys() != set(self.spec.arguments):
            wanted, given = ", ".join(self.spec.arguments), ", ".join(kwargs)
            raise TypeError(f"{self.spec.name} takes ({wanted}); it was called with ({given}).")
        return [tuple([kwargs[name] for name in names]) for names in self.signatures]


class Dispatcher:
    """The five verbs. A Host adds loading and registries."""

    def __init__(self, process: Process, specs: dict[str, HookSpec]) -> None:
        self.process: Process = process
        self.error_listeners: list[ErrorListener] = []
        """Told of every plugin error (plugin, hook, failure): the engine turns them into warnings of the job."""
        self._specs = specs
        # Ctrl-C reaches the command line alone; in a thread of the page or in the worker it can only be a plugin's.
        stops: tuple[type[BaseException], ...] = (KeyboardInterrupt,) if process == "both" else ()
        self._passes: tuple[type[BaseException], ...] = (*PASS, *stops)
        self._events_pass: tuple[type[BaseException], ...] = (JobCancelledError, *stops)
        self._plans: dict[str, Plan] = {}
        self._queues: dict[LivePlugin, EventQueue] = {}

    def _implementations(self, hook: str) -> tuple[list[Implementation], list[Implementation]]:
        """Plain and wrapping implementations in registration order."""
        raise NotImplementedError

    def settle(self, plugin: LivePlugin | None, hook: str) -> None:
        """Called after the first call of each implementation: put back what it has changed for everybody.

        `plugin` is None when it may have been one of several.
        """

    # --- the verbs ------------------------------------------------------------------------------------------------

    def choose(self, hook: str, /, **kwargs: Any) -> Any | None:
        """The first answer that is not None; the plugin registered last is asked first, a failing one is skipped.

        Implementations with `wrapper=True` see the answer and may replace it, as pluggy's do.
        """
        plan = self._plan(hook, "choose")
        arguments = plan.bind(kwargs)
        with _Wrappers(self, plan, arguments) as wrappers:
            answer = None
            for implementation, index in plan.calls:
                answer = self._call(implementation, arguments[index])
                if answer is not None and plan.spec.answer and not isinstance(answer, plan.spec.answer):
                    kind, wanted = type(answer).__name__, plan.spec.answer.__name__
                    self._failed(implementation, TypeError(f"{hook} returned {kind}, not {wanted}."))
                    answer = None
                if answer is not None:
                    break
            return wrappers.finish(answer)

    def filter(self, hook: str, value: T, /, **kwargs: Any) -> T:
        """`value` (the hook's first argument) as the plugins leave it, by declared phase, then by plugin name.

        None leaves the value. A result of another type is that plugin's error and leaves it too. Dictionaries, lists
        and sets are given as copies, so that a plugin that fails half-way has changed nothing.
        """
        plan = self._plan(hook, "filter")
        first = plan.spec.arguments[0]
        for implementation, index in plan.calls:
            given = copy.copy(value) if isinstance(value, (dict, list, set)) else value
            arguments = plan.bind({first: given, **kwargs})[index]
            result = self._call(implementation, arguments)
            if result is None:
                continue
            if isinstance(result, type(value)):
                value = result
            else:
                message = f"{hook} returned {type(result).__name__}, not {type(value).__name__}."
                self._failed(implementation, TypeError(message))
        return value

    @contextmanager
    def wrap(self, hook: str, /, value_name: str | None = None, **kwargs: Any) -> Iterator[Any]:
        """Enter every plugin's context manager, in registration order, and undo them in reverse whatever happens.

        With `value_name`, an object that a context manager yields replaces that argument for the next plugin, and the
        last one is yielded here. What the body raises passes through; no plugin can swallow it.
        """
        plan = self._plan(hook, "wrap")
        value = kwargs[value_name] if value_name else None
        with ExitStack() as stack:
            for implementation, index in plan.calls:
                manager = self._call(implementation, plan.bind(kwargs)[index])
                if manager is None:
                    continue
                if not isinstance(manager, AbstractContextManager):
                    kind = type(manager).__name__
                    self._failed(implementation, TypeError(f"{hook} returned {kind}, not a context manager."))
                    continue
                entered, yielded = self._enter(implementation, manager)
                if entered:
                    stack.push(partial(self._exit, implementation, manager))
                if value_name and yielded is not None:
                    if callable(value) and not callable(yielded):
                        kind = type(yielded).__name__
                        self._failed(implementation, TypeError(f"{hook} yielded {kind}, which cannot be called."))
                    else:
                        kwargs[value_name] = value = yielded
            yield value

    def emit(self, hook: str, /, **kwargs: Any) -> None:
        """Tell every plugin. Never raises for a plugin; in the host it never waits for one either."""
        plan = self._plan(hook, "on")
        if not plan.calls:
            return
        arguments = plan.bind(kwargs)
        if self.process == "host" or plan.spec.info.process == "host":
            for implementation, index in plan.calls:
                self._queue(implementation.plugin).put(implementation, arguments[index])
            return
        if hook in LIFE and self.process == "worker":
            for implementation, index in plan.calls:
                self._call_event(implementation, arguments[index])
            return
        fresh: list[LivePlugin] = []
        for implementation, index in plan.calls:
            start = perf_counter_ns()
            try:
                implementation.function(*arguments[index])
            except self._events_pass:
                raise
            except BaseException as error:
                self._failed(implementation, error)
            implementation.calls += 1
            implementation.total_ns += perf_counter_ns() - start
            if implementation.calls == 1:
                fresh.append(implementation.plugin)
        if fresh:  # once for all of them: with hundreds of listeners the first step would take its time
            self.settle(fresh[0] if len(fresh) == 1 else None, hook)

    # --- one implementation ---------------------------------------------------------------------------------------

    def _call(self, implementation: Implementation, arguments: tuple[Any, ...]) -> Any | None:
        """The implementation's answer; None and one more error counted when it raises."""
        start = perf_counter_ns()
        implementation.calls += 1
        try:
            if self._waits_for(implementation):
                return limited(implementation.function, arguments, _name(implementation))
            return implementation.function(*arguments)
        except self._passes as error:
            _attribute(error, implementation)
            raise
        except BaseException as error:
            self._failed(implementation, error)
            return None
        finally:
            implementation.total_ns += perf_counter_ns() - start
            if implementation.calls == 1:
                self.settle(implementation.plugin, implementation.hook)

    def _waits_for(self, implementation: Implementation) -> bool:
        """Whether the page or the start of the worker waits for it: then it has a time limit."""
        if implementation.plugin.entry.built_in:
            return False
        if self.process == "worker":
            return implementation.hook in LIFE
        return self.process == "host" and self._specs[implementation.hook].info.verb in ("choose", "filter")

    def _call_event(self, implementation: Implementation, arguments: tuple[Any, ...]) -> None:
        """As `_call`, for the event threads: nothing may end them."""
        try:
            if not implementation.quarantined:
                self._call(implementation, arguments)
        except BaseException as error:
            self._failed(implementation, error)

    def _enter(self, implementation: Implementation, manager: AbstractContextManager[Any]) -> tuple[bool, Any]:
        start = perf_counter_ns()
        try:
            return True, manager.__enter__()
        except self._passes as error:
            _attribute(error, implementation)
            raise
        except BaseException as error:
            self._failed(implementation, error, "enter")
            return False, None
        finally:
            implementation.total_ns += perf_counter_ns() - start

    def _exit(
        self,
        implementation: Implementation,
        manager: AbstractContextManager[Any],
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Undo one context manager; its own failure is counted and hides neither the body's nor the others' undoing."""
        start = perf_counter_ns()
        try:
            manager.__exit__(kind, error, trace)
        except self._events_pass as raised:
            if raised is not error and error is None:
                raise
        except BaseException as raised:
            if raised is not error:
                self._failed(implementation, raised, "exit")
        finally:
            implementation.total_ns += perf_counter_ns() - start
        return False

    def _failed(self, implementation: Implementation, error: BaseException, phase: str = "hook") -> None:
        """Count, log and show an error; quarantine the plugin for this hook when its budget is spent."""
        implementation.errors += 1
        plugin, hook = implementation.plugin, implementation.hook
        failure = explain(plugin.entry, phase, error)
        plugin.show(failure, hook)
        self._log(plugin, hook, phase, failure.error, error)
        overdue = isinstance(error, HookTimeoutError)  # each further call would leave a thread behind
        if (implementation.errors >= MAX_ERRORS or overdue) and not implementation.quarantined:
            implementation.quarantined = True
            plugin.state = "quarantined"
            after = "because it does not come back" if overdue else f"after {MAX_ERRORS} errors"
            plugin.hint = f"It is no longer called for {hook} {after}. Update or disable it."
            self._plans.pop(hook, None)
            log.error("%s is quarantined for %s %s.", plugin.entry.id, hook, after)
        for listener in list(self.error_listeners):
            listener(plugin, hook, failure)

    def _log(self, plugin: LivePlugin, hook: str, phase: str, text: str, error: BaseException | None) -> None:
        entry = plugin.entry
        details = {
            "plugin": entry.name,
            "dist": entry.dist,
            "dist_version": entry.version,
            "hook": hook,
            "phase": phase,
        }
        log.error(
            "Plugin %s (%s %s) failed in %s [%s]: %s", entry.name, entry.dist, entry.version, hook or "loading", phase,
            text, exc_info=error, extra=details,
        )  # fmt: skip

    def _queue(self, plugin: LivePlugin) -> EventQueue:
        queue = self._queues.get(plugin)
        if queue is None:
            queue = self._queues.setdefault(plugin, EventQueue(plugin, self._call_event))
        return queue

    def _plan(self, hook: str, verb: str) -> Plan:
        plan = self._plans.get(hook)
        if plan is None:
            plan = self._plans[hook] = self._make_plan(hook)
        if plan.spec.info.verb != verb:
            raise ValueError(f"{hook} is a {plan.spec.info.verb!r} hook, not {verb!r}.")
        return plan

    def _make_plan(self, hook: str) -> Plan:
        spec = self._specs.get(hook)
        if spec is None:
            raise ValueError(f"There is no hook {hook!r}.")
        if "both" not in (self.process, spec.info.process) and self.process != spec.info.process:
            return Plan(spec, [])
        plain, wrappers = self._implementations(hook)
        plain = [i for i in plain if not i.quarantined]
        if spec.info.verb == "choose":
            plain.reverse()
        elif spec.info.verb == "filter":
            plain.sort(key=lambda i: (_phase_index(spec.info, i), i.plugin.entry.name, i.plugin.entry.dist))
        return Plan(spec, plain, [i for i in reversed(wrappers) if not i.quarantined])


def _name(implementation: Implementation) -> str:
    return f"{implementation.hook} of {implementation.plugin.entry.id}"


def _phase_index(info: SpecInfo, implementation: Implementation) -> int:
    """Where in the hook's phases it acts; implementations that name none come after all that do."""
    return info.phases.index(implementation.phase) if implementation.phase else len(info.phases)


def _attribute(error: BaseException, implementation: Implementation) -> None:
    """Say in the traceback whose error it is; the message meant for people stays as the plugin wrote it."""
    error.add_note(f"Raised by the plugin {implementation.plugin.entry.id} in {implementation.hook}.")


class _Wrappers:
    """The `wrapper=True` generators around one `choose`, outermost first. One that fails is counted and left out."""

    def __init__(self, dispatcher: Dispatcher, plan: Plan, arguments: list[tuple[Any, ...]]) -> None:
        self._dispatcher, self._plan, self._arguments = dispatcher, plan, arguments
        self._entered: list[tuple[Implementation, Generator[None, Any, Any]]] = []

    def __enter__(self) -> Self:
        for implementation, index in self._plan.wrappers:
            generator = self._dispatcher._call(implementation, self._arguments[index])
            if generator is not None and self._advance(implementation, generator):
                self._entered.append((implementation, generator))
        return self

    def _advance(self, implementation: Implementation, generator: Generator[None, Any, Any]) -> bool:
        try:
            next(generator)
        except StopIteration:
            self._dispatcher._failed(implementation, RuntimeError("The wrapper did not yield."))
        except self._dispatcher._passes:
            self.__exit__(None, None, None)
            raise
        except BaseException as error:
            self._dispatcher._failed(implementation, error)
        else:
            return True
        return False

    def finish(self, answer: Any) -> Any:
        """The answer as the wrappers leave it, innermost first."""
        while self._entered:
            implementation, generator = self._entered.pop()
            try:
                generator.send(answer)
            except StopIteration as stop:
                answer = stop.value
            except self._dispatcher._passes:
                raise
            except BaseException as error:
                self._dispatcher._failed(implementation, error)
            else:
                generator.close()
                self._dispatcher._failed(implementation, RuntimeError("The wrapper yielded twice."))
        return answer

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Close the wrappers that `finish` has not reached, so that their `finally` blocks run."""
        while self._entered:
            implementation, generator = self._entered.pop()
            try:
                generator.close() if error is None else generator.throw(error)
            except BaseException as raised:
                if raised is not error and not isinstance(raised, StopIteration):
                    self._dispatcher._failed(implementation, raised)
