"""What a plugin changes for everybody is put back and held against it; errors outside of hooks are its own too."""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import gesso.plugins.limits
from gesso.errors import GessoError
from gesso.plugins.desk import PluginDesk
from gesso.plugins.report import report
from gesso.plugins.state import merged
from gesso.types import HookState, PluginState

SAMPLER = """
from gesso import Sampler, SamplerFn, lazy
@hookimpl
def gesso_register_samplers(registry):
    registry.add(Sampler(name="one", run=lazy("x:y", SamplerFn)))
"""


def last(host: Any) -> PluginState:
    return next(state for state in host.states if state.dist == "local")


def test_a_replaced_function_is_put_back_and_its_code_tells_whose_it_was(make_host):
    """Even when another plugin's hook is the one after which it is noticed, and however it is dressed up."""
    guilty = "import functools, json\nold = json.dumps\n@functools.wraps(old)\ndef new(*a, **k): return 'patched'\n"
    host = make_host({"aaa": guilty, "zzz": "@hookimpl\ndef gesso_on_step(ctx, step): ...\n"})
    before = json.dumps
    json.dumps = sys.modules[next(m for m in sys.modules if m.startswith("aaa_"))].new
    host.emit("gesso_on_step", ctx=None, step=None)
    assert json.dumps is before
    states = {state.name.partition("_")[0]: state for state in host.states if state.dist == "local"}
    assert (states["aaa"].phase, states["aaa"].hook) == ("patch", "gesso_on_step")
    assert states["aaa"].error == "It replaces json.dumps for everybody. Use hooks instead."
    assert states["zzz"].error == ""


def test_what_no_plugin_has_changed_is_left_alone(make_host, monkeypatch):
    host = make_host({"aaa": ""})
    mine = functools.partial(json.dumps)
    monkeypatch.setattr(json, "dumps", mine)
    host.tidy()
    assert json.dumps is mine


@pytest.mark.parametrize(
    "change",
    ["registry.remove_owner('local:' + name)", "registry._items.clear()", "vars(registry.get('one'))['label'] = 'x'",
     "registry.add(type(registry.get('one'))(name='two', run=None), owner='me')"],
)  # fmt: skip
def test_a_registry_stays_as_it_was_filled(make_host, change):
    host = make_host({"aaa": SAMPLER})
    registry = host.registry("samplers")
    name = last(host).name
    with host.guarded(last(host).id, phase="build", hook="the tab odd") as outcome:
        exec(change, {"registry": registry, "name": name})
    assert outcome.error is not None
    assert [item.name for item in registry] == ["one"]
    assert (registry.get("one").label, registry.find("two")) == ("one", None)
    assert (last(host).phase, last(host).hook) == ("patch", "the tab odd")
    assert "the sampler 'one'" in last(host).error or "the sampler 'two'" in last(host).error


def test_place_and_streams_are_put_back_after_a_hook(make_host, tmp_path):
    code = f"def gesso_on_step(ctx, step):\n    os.chdir({str(tmp_path)!r})\n    sys.argv[:] = ['x']\n"
    host = make_host({"aaa": f"import os, sys\n@hookimpl\n{code}"})
    before = Path.cwd(), list(sys.argv)
    host.emit("gesso_on_step", ctx=None, step=None)
    assert (Path.cwd(), sys.argv) == before


def test_guarded_code_may_raise_whatever_it_likes(make_host):
    host = make_host({"aaa": ""})
    for error in (SystemExit(3), KeyboardInterrupt(), ValueError("odd")):
        with host.guarded(last(host).id, phase="build", hook="the tab odd") as outcome:
            raise error
        assert outcome.error is error
    state = last(host)
    assert (state.state, state.phase, state.hook, state.errors) == ("enabled", "build", "the tab odd", 3)
    text = report([state])
    for part in (state.id, "build the tab odd", "ValueError: odd"):
        assert part in text


def test_a_hook_of_the_page_that_does_not_come_back_is_left(make_host, monkeypatch):
    monkeypatch.setattr(gesso.plugins.limits, "HOOK_SECONDS", 0.2)
    code = "import time\n@hookimpl\ndef gesso_filter_prompt(prompt):\n    time.sleep(20)\n"
    host = make_host({"aaa": code}, process="host")
    assert host.filter("gesso_filter_prompt", "as it was", request=None) == "as it was"
    assert (last(host).state, last(host).quarantined_hooks) == ("quarantined", ("gesso_filter_prompt",))
    assert "not come back" in last(host).error
    assert host.filter("gesso_filter_prompt", "again", request=None) == "again"
    assert last(host).calls == 1


@pytest.mark.timeout(method="thread")  # the other method takes the timer that is tried here
def test_a_tab_that_does_not_come_to_an_end_is_left(make_host, monkeypatch):
    monkeypatch.setattr(gesso.plugins.limits, "BUILD_SECONDS", 0.2)
    host = make_host({"aaa": ""})
    with host.guarded(last(host).id, phase="build", hook="the tab odd") as outcome:
        threading.Event().wait(20)
    assert "not come to an end" in str(outcome.error)
    assert last(host).phase == "build"


def test_what_a_hook_raises_in_its_thread_comes_out_of_it(make_host):
    from gesso.errors import InvalidInputError

    code = "@hookimpl\ndef gesso_filter_prompt(prompt):\n    raise InvalidInputError('not so')\n"
    host = make_host({"aaa": "from gesso import InvalidInputError\n" + code}, process="host")
    with pytest.raises(InvalidInputError, match="not so"):
        host.filter("gesso_filter_prompt", "x", request=None)


def test_an_answer_of_another_type_is_an_error_and_the_next_is_asked(make_host):
    choose = "@hookimpl\ndef gesso_choose_operator(name, info, wanted):\n    return {}\n"
    host = make_host({"aaa": choose.format("'plain'"), "zzz": choose.format("42")})
    assert host.choose("gesso_choose_operator", name="w", info=None, wanted="") == "plain"
    assert host.states[-1].error == "TypeError: gesso_choose_operator returned int, not str."


def test_blame_goes_to_the_innermost_plugin(make_host):
    host = make_host({"aaa": "def call(f): f()\n", "bbb": "def fail(): raise ValueError('deep')\n"})
    modules = {name[:3]: sys.modules[name] for name in sys.modules if name.startswith(("aaa_", "bbb_"))}
    outer = RuntimeError("outer")
    try:
        modules["aaa"].call(modules["bbb"].fail)
    except ValueError as error:
        outer.__cause__ = error
    assert host.blame(outer, "gesso:own").startswith("local:bbb_")
    assert host.blame(ValueError("nobody's"), "gesso:own") == "gesso:own"


# --- states of both processes ---------------------------------------------------------------------------------------


def test_a_row_has_what_both_processes_know():
    host = PluginState(name="a", dist="d", version="1", calls=2, total_ms=1,
                       hook_states=(HookState(hook="h", process="host", calls=2),))  # fmt: skip
    worker = host.model_copy(update={"state": "quarantined", "phase": "hook", "hook": "gesso_on_step", "error": "no",
                                     "calls": 5, "errors": 3, "quarantined_hooks": ("gesso_on_step",)})  # fmt: skip
    row = merged(host, worker)
    assert (row.state, row.error, row.hook, row.calls, row.errors) == ("quarantined", "no", "gesso_on_step", 7, 3)
    assert len(row.hook_states) == 2
    assert merged(host, None) is host


def test_the_desk_disables_enables_and_resets(make_host):
    host, told = make_host({"aaa": "@hookimpl\ndef gesso_on_step(ctx, step): 1/0\n"}), []
    desk = PluginDesk(host, dict, told.append)
    name = last(host).id
    for _ in range(3):
        host.emit("gesso_on_step", ctx=None, step=None)
    assert desk.state(name).state == "quarantined"
    assert (desk.reset(name).state, desk.state(name).errors, told) == ("enabled", 0, [name])
    off = desk.set_enabled(name, False)  # at once, or from the next start on
    assert "disabled" in (off.state, off.next_start)
    on = desk.set_enabled(name, True)
    assert (on.state, on.next_start) == ("enabled", "")
    with pytest.raises(GessoError, match="nobody"):
        desk.state("nobody")


def test_errors_from_many_threads_are_all_counted(make_host):
    host = make_host({"aaa": ""})
    name = last(host).id
    note = functools.partial(host.note, name, ValueError("x"), phase="stage")
    threads = [threading.Thread(target=note) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert last(host).errors == 20


def test_the_standard_descriptors_cannot_be_closed_under_a_running_host(make_host):
    """The next file that is opened would get the number, and what is printed would go into it."""
    code = "import os, sys\n@hookimpl\ndef gesso_on_step(ctx, step):\n    os.close(1)\n    os.closerange(0, 3)\n"
    host = make_host({"aaa": code})
    before = [os.fstat(number).st_ino for number in range(3)]
    host.emit("gesso_on_step", ctx=None, step=None)
    assert [os.fstat(number).st_ino for number in range(3)] == before
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
