"""The five verbs: who is called, in which order, with what, and what a failing plugin can and cannot do."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gesso import InvalidInputError, JobCancelledError
from gesso.plugins.dispatch import MAX_ERRORS
from gesso.plugins.events import MAX_WAITING, EventQueue

pytestmark = pytest.mark.usefixtures("quiet")
CHOOSE = "gesso_choose_operator"
GIVEN: dict[str, Any] = {"name": "layer", "info": None, "wanted": ""}


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "gesso.plugins")


def states(host: Any) -> dict[str, Any]:
    """Rows by the plugin's name without its number."""
    return {s.name.rpartition("_")[0]: s for s in host.states if s.dist == "local"}


def queue_of(host: Any, name: str) -> EventQueue:
    return next(queue for plugin, queue in host._queues.items() if plugin.entry.name.startswith(f"{name}_"))


def chooser(body: str, *, wrapper: bool = False) -> str:
    mark = "@hookimpl(wrapper=True)" if wrapper else "@hookimpl"
    return f"import gesso\n{mark}\ndef gesso_choose_operator(name, wanted):\n    {body}\n"


# --- choose -------------------------------------------------------------------------------------------------------


def test_choose_asks_the_last_first_and_takes_the_first_answer(make_host):
    host = make_host({"a": chooser("return 'a'"), "b": chooser("return 'b'"), "c": chooser("return None")})
    assert host.choose(CHOOSE, **GIVEN) == "b"
    assert {name: s.calls for name, s in states(host).items()} == {"a": 0, "b": 1, "c": 1}


def test_choose_without_an_answer_is_none(make_host):
    assert make_host({"a": chooser("return None")}).choose(CHOOSE, **GIVEN) is None
    assert make_host({}).choose(CHOOSE, **GIVEN) is None


def test_choose_skips_a_plugin_that_raises(make_host):
    host = make_host({"a": chooser("return name + 'a'"), "b": chooser("raise SystemExit(1)")})
    assert host.choose(CHOOSE, **GIVEN) == "layera"
    assert states(host)["b"].errors == 1
    assert states(host)["b"].state == "enabled"


def test_wrappers_see_and_replace_the_answer(make_host):
    host = make_host(
        {
            "a": chooser("return 'plain'"),
            "b": chooser("answer = yield; return answer + ' b'", wrapper=True),
            "c": chooser("answer = yield; return answer + ' c'", wrapper=True),
        }
    )
    assert host.choose(CHOOSE, **GIVEN) == "plain b c"  # c was registered last: it is the outermost


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError; yield",
        "return 'early'; yield",
        "x = yield; raise ValueError",
        "x = yield; yield; return 'two'",
    ],
)
def test_a_wrapper_that_fails_is_left_out(make_host, body: str):
    wrapper = chooser(body, wrapper=True)
    host = make_host({"a": chooser("return 'plain'"), "b": wrapper, "c": chooser("x = yield; return x", wrapper=True)})
    assert host.choose(CHOOSE, **GIVEN) == "plain"
    assert {name: s.errors for name, s in states(host).items()} == {"a": 0, "b": 1, "c": 0}


def test_wrappers_are_closed_when_a_person_cancels(make_host, tmp_path: Path):
    note = tmp_path / "note"
    host = make_host(
        {
            "a": chooser("raise gesso.JobCancelledError('stopped')"),
            "b": chooser(
                f"\n    try:\n        yield\n    finally:\n        open({str(note)!r}, 'w').close()", wrapper=True
            ),
        }
    )
    with pytest.raises(JobCancelledError):
        host.choose(CHOOSE, **GIVEN)
    assert note.exists()
    assert {name: s.errors for name, s in states(host).items()} == {"a": 0, "b": 0}


@pytest.mark.parametrize("error", ["JobCancelledError", "InvalidInputError", "UnknownNameError"])
def test_what_is_meant_for_people_passes_through(make_host, error: str):
    """A cancelled job and an input that cannot be used are no plugin's failure; the traceback says whose they are."""
    arguments = "('LoRA', 'x', [])" if error == "UnknownNameError" else "('The reason.')"
    host = make_host({"a": chooser(f"raise gesso.{error}{arguments}")})
    for _ in range(MAX_ERRORS + 1):
        with pytest.raises((JobCancelledError, InvalidInputError)) as caught:
            host.choose(CHOOSE, **GIVEN)
    assert states(host)["a"].errors == 0
    assert states(host)["a"].state == "enabled"
    assert "Raised by the plugin local:a_" in caught.value.__notes__[0]


def test_a_keyboard_interrupt_passes_where_a_person_may_have_sent_it(make_host):
    """On the command line; in the page's threads and in the worker none arrives, so it is the plugin's own."""
    with pytest.raises(KeyboardInterrupt):
        make_host({"a": chooser("raise KeyboardInterrupt")}, process="both").choose(CHOOSE, **GIVEN)
    worker = make_host({"a": chooser("raise KeyboardInterrupt")})
    assert worker.choose(CHOOSE, **GIVEN) is None
    assert worker.states[-1].error == "KeyboardInterrupt"


# --- filter -------------------------------------------------------------------------------------------------------


def prompter(word: str, phase: str = "") -> str:
    return f"@hookimpl(phase={phase!r})\ndef gesso_filter_prompt(prompt):\n    return prompt + ' {word}'\n"


def test_filters_go_by_phase_then_by_name(make_host):
    host = make_host(
        {
            "z": prompter("first", "template"),
            "a": prompter("last"),
            "y": prompter("tag", "tag"),
            "c": prompter("style2", "style"),
            "b": prompter("style1", "style"),
        },
        process="host",
    )
    assert host.filter("gesso_filter_prompt", "a cat", request=None) == "a cat first style1 style2 tag last"


def test_none_leaves_the_value_and_a_wrong_type_is_an_error(make_host):
    host = make_host(
        {
            "a": "@hookimpl\ndef gesso_filter_prompt(prompt): return None",
            "b": "@hookimpl\ndef gesso_filter_prompt(prompt): return 7",
            "c": "@hookimpl\ndef gesso_filter_prompt(prompt): raise RuntimeError",
            "d": prompter("end"),
        },
        process="host",
    )
    assert host.filter("gesso_filter_prompt", "a", request=None) == "a end"
    found = states(host)
    assert {name: s.errors for name, s in found.items()} == {"a": 0, "b": 1, "c": 1, "d": 0}
    assert "returned int, not str" in found["b"].error


def test_a_filter_that_fails_half_way_has_changed_nothing(make_host):
    host = make_host(
        {
            "a": "@hookimpl\ndef gesso_filter_metadata(pairs):\n    pairs.clear()\n    raise RuntimeError",
            "b": "@hookimpl\ndef gesso_filter_metadata(pairs):\n    pairs['B'] = 1\n    return pairs",
            "c": "@hookimpl\ndef gesso_filter_metadata(pairs):\n    pairs.clear()",
        }
    )
    given = {"Steps": 20}
    assert host.filter("gesso_filter_metadata", given, output=None, ctx=None) == {"Steps": 20, "B": 1}
    assert given == {"Steps": 20}


# --- wrap ---------------------------------------------------------------------------------------------------------

WRAPPER = """
from contextlib import contextmanager
@hookimpl
def gesso_wrap_model(ctx, model):
    @contextmanager
    def patched():
        ctx.append('+{name}')
        {enter}
        try:
            yield
        finally:
            ctx.append('-{name}')
            {leave}
    return patched()
"""


def wrapping(name: str, enter: str = "pass", leave: str = "pass") -> str:
    return WRAPPER.format(name=name, enter=enter, leave=leave)


def test_wraps_are_undone_in_reverse(make_host):
    host, log = make_host({n: wrapping(n) for n in "abc"}), []
    with host.wrap("gesso_wrap_model", ctx=log, model=None) as value:
        log.append("body")
        assert value is None
    assert log == ["+a", "+b", "+c", "body", "-c", "-b", "-a"]


def test_a_wrap_that_fails_on_entering_is_skipped(make_host):
    host, log = make_host({"a": wrapping("a"), "b": wrapping("b", enter="1/0"), "c": wrapping("c")}), []
    with host.wrap("gesso_wrap_model", ctx=log, model=None):
        log.append("body")
    assert log == ["+a", "+b", "+c", "body", "-c", "-a"]
    assert states(host)["b"].errors == 1


def test_a_wrap_that_fails_on_leaving_stops_nothing(make_host):
    host, log = make_host({"a": wrapping("a"), "b": wrapping("b", leave="1/0"), "c": wrapping("c")}), []
    with host.wrap("gesso_wrap_model", ctx=log, model=None):
        pass
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"]
    assert [s.errors for s in states(host).values()] == [0, 1, 0]
    assert "ZeroDivisionError" in states(host)["b"].error


def test_the_bodys_error_passes_and_all_is_undone(make_host):
    swallower = """
    class Swallow:
        def __enter__(self): ...
        def __exit__(self, *exc): return True
    @hookimpl
    def gesso_wrap_model(): return Swallow()
    """
    host, log = make_host({"a": wrapping("a"), "b": wrapping("b", leave="1/0"), "c": swallower}), []
    with pytest.raises(KeyError, match="mine"), host.wrap("gesso_wrap_model", ctx=log, model=None):
        raise KeyError("mine")
    assert log == ["+a", "+b", "-b", "-a"]
    assert [s.errors for s in states(host).values()] == [0, 1, 0]


def test_cancelling_while_entering_undoes_what_was_entered(make_host):
    cancel = "import gesso\n@hookimpl\ndef gesso_wrap_model(): raise gesso.JobCancelledError('stop')"
    host, log = make_host({"a": wrapping("a"), "b": cancel, "c": wrapping("c")}), []
    with pytest.raises(JobCancelledError), host.wrap("gesso_wrap_model", ctx=log, model=None):
        log.append("body")
    assert log == ["+a", "-a"]


def test_what_is_no_context_manager_is_an_error(make_host):
    host = make_host(
        {"a": "@hookimpl\ndef gesso_wrap_model(): return 5", "b": "@hookimpl\ndef gesso_wrap_model(): ..."}
    )
    with host.wrap("gesso_wrap_model", ctx=None, model=None):
        pass
    assert [s.errors for s in states(host).values()] == [1, 0]


def test_a_yielded_value_is_handed_on(make_host):
    def code(body: str) -> str:
        return f"""
    from contextlib import contextmanager
    @hookimpl
    def gesso_wrap_denoise(denoise):
        @contextmanager
        def wrapped():
            {body}
        return wrapped()
    """

    host = make_host(
        {
            "a": code("yield lambda x: denoise(x) + 'a'"),
            "b": code("yield"),
            "c": code("yield 'no function'"),
            "d": code("yield lambda x: denoise(x) + 'd'"),
        }
    )
    with host.wrap("gesso_wrap_denoise", "denoise", ctx=None, denoise=lambda x: x) as denoise:
        assert denoise("x") == "xad"
    assert [s.errors for s in states(host).values()] == [0, 0, 1, 0]


# --- emit ---------------------------------------------------------------------------------------------------------

STEP = "@hookimpl\ndef gesso_on_step(ctx, step): {}\n"


def test_events_in_the_worker_are_called_at_once_and_cannot_fail(make_host):
    host = make_host({"a": STEP.format("ctx.append(step)"), "b": STEP.format("1/0"), "c": STEP.format("ctx.append(9)")})
    log: list[int] = []
    host.emit("gesso_on_step", ctx=log, step=1)
    assert log == [1, 9]
    assert [s.errors for s in states(host).values()] == [0, 1, 0]


def test_a_step_hook_may_cancel(make_host):
    host = make_host({"a": "import gesso\n" + STEP.format("raise gesso.JobCancelledError('stop')")})
    with pytest.raises(JobCancelledError):
        host.emit("gesso_on_step", ctx=None, step=1)


def test_events_in_the_host_wait_for_nobody(make_host):
    """A handler that blocks holds up itself alone; its queue drops the oldest and says how many."""
    event = "@hookimpl\ndef gesso_on_job_event(job, event): {}\n"
    host = make_host({"blocks": event.format("job.wait(30)"), "counts": event.format("event.append(1)")}, "host")
    release, counted = threading.Event(), list[int]()
    host.emit("gesso_on_job_event", job=release, event=[])
    while queue_of(host, "blocks")._waiting:
        time.sleep(0.01)  # until its thread has taken the first event
    for _ in range(MAX_WAITING + 5):
        host.emit("gesso_on_job_event", job=release, event=counted)
    assert queue_of(host, "counts").drain(time.monotonic() + 30)
    assert "5 events dropped" in states(host)["blocks"].hint
    assert states(host)["counts"].calls > 1
    release.set()
    host.close(timeout=30)
    assert states(host)["blocks"].calls == 1 + MAX_WAITING


def test_events_of_one_plugin_keep_their_order(make_host):
    host = make_host({"a": "@hookimpl\ndef gesso_on_job_event(job, event): job.append(event)\n"}, "host")
    seen: list[int] = []
    for number in range(100):
        host.emit("gesso_on_job_event", job=seen, event=number)
    host.close(timeout=30)
    assert seen == list(range(100))


def test_events_are_delivered_before_the_program_ends(site, tmp_path: Path):
    note = tmp_path / "note"
    code = (
        f"import time\n@hookimpl\ndef gesso_on_startup(process):\n time.sleep(0.2)\n open({str(note)!r}, 'w').close()\n"
    )
    site.plugin("late", code)
    site.run("from gesso.plugins import Host\nhost = Host.load()\nhost.emit('gesso_on_startup', process='host')\n")
    assert note.exists()


# --- budgets, processes, attribution ------------------------------------------------------------------------------


def test_three_errors_and_a_plugin_is_no_longer_called_for_the_hook(make_host):
    code = STEP.format("1/0") + "@hookimpl\ndef gesso_choose_operator(name): return 'still asked'\n"
    host = make_host({"a": code, "b": STEP.format("ctx.append(step)")})
    log: list[int] = []
    for step in range(10):
        host.emit("gesso_on_step", ctx=log, step=step)
    row = states(host)["a"]
    assert (row.state, row.quarantined_hooks) == ("quarantined", ("gesso_on_step",))
    assert (row.calls, row.errors) == (MAX_ERRORS, MAX_ERRORS)
    assert "ZeroDivisionError" in row.error
    assert "1/0" in row.traceback
    assert "gesso_on_step" in row.hint
    assert log == list(range(10))
    assert host.choose(CHOOSE, **GIVEN) == "still asked"


def test_a_quarantine_can_be_lifted(make_host):
    host = make_host({"a": STEP.format("ctx[step]")})
    for _ in range(MAX_ERRORS + 2):
        host.emit("gesso_on_step", ctx=[], step=0)
    name = host.states[-1].name
    host.reset(name)
    assert (host.state(name).state, host.state(name).errors, host.state(name).hint) == ("enabled", 0, "")
    host.emit("gesso_on_step", ctx=[1], step=0)
    assert host.state(name).calls == MAX_ERRORS + 1
    assert host.state(name).state == "enabled"


def test_errors_now_and_then_count_together(make_host):
    host = make_host({"a": STEP.format("1 / (step % 2)")})
    for step in range(10):
        host.emit("gesso_on_step", ctx=None, step=step)
    assert states(host)["a"].state == "quarantined"
    assert states(host)["a"].calls == 5  # 0, 2 and 4 failed


def test_hooks_of_another_process_are_not_called(make_host):
    codes = {"a": STEP.format("ctx.append('step')") + prompter("prompt") + chooser("return 'chosen'")}
    called: list[str] = []
    host = make_host(codes, "host")
    host.emit("gesso_on_step", ctx=called, step=1)
    assert host.choose(CHOOSE, **GIVEN) is None
    assert host.filter("gesso_filter_prompt", "a", request=None) == "a prompt"
    worker = make_host(codes, "worker")
    worker.emit("gesso_on_step", ctx=called, step=1)
    assert worker.choose(CHOOSE, **GIVEN) == "chosen"
    assert worker.filter("gesso_filter_prompt", "a", request=None) == "a"
    inline = make_host(codes, "both")
    inline.emit("gesso_on_step", ctx=called, step=1)
    assert inline.filter("gesso_filter_prompt", "a", request=None) == "a prompt"
    assert called == ["step", "step"]


def test_an_error_is_logged_with_all_its_names(make_host, caplog):
    caplog.set_level(logging.ERROR, "gesso.plugins")
    host = make_host({"a": STEP.format("1/0")})
    seen: list[tuple[str, str, str]] = []
    host.error_listeners.append(lambda plugin, hook, failure: seen.append((plugin.entry.dist, hook, failure.error)))
    host.emit("gesso_on_step", ctx=None, step=1)
    record = caplog.records[-1]
    assert (record.dist, record.hook, record.phase) == ("local", "gesso_on_step", "hook")
    assert record.plugin.startswith("a_")
    assert "gesso_on_step" in record.getMessage()
    assert record.exc_info is not None
    assert seen == [("local", "gesso_on_step", "ZeroDivisionError: division by zero")]


def test_calling_a_hook_wrongly_is_the_callers_error(make_host):
    host = make_host({"a": STEP.format("...")})
    with pytest.raises(ValueError, match="no hook 'gesso_on_stepp'"):
        host.emit("gesso_on_stepp", ctx=None, step=1)
    with pytest.raises(ValueError, match="'on' hook"):
        host.choose("gesso_on_step", ctx=None, step=1)
    with pytest.raises(TypeError, match=r"takes \(ctx, step\)"):
        host.emit("gesso_on_step", ctx=None)
