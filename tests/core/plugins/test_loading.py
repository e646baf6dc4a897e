"""Whatever a plugin does when it is loaded, the program starts, the others work, and the row says what happened."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

SAMPLER = """
from gesso import Sampler, lazy
@hookimpl
def gesso_register_samplers(registry):
    registry.add(Sampler(name=__name__.split(".")[0], run=lazy(".sampling:run", object)))
"""

# name: (code of plugin.py, state, phase, words of the error)
ZOO: dict[str, tuple[str, str, str, str]] = {
    "import-error": ("from json import nothing", "failed", "import", "ImportError"),
    "syntax-error": ("def :", "failed", "import", "SyntaxError"),
    "system-exit": ("raise SystemExit(3)", "failed", "import", "SystemExit: 3"),
    "keyboard-interrupt": ("raise KeyboardInterrupt", "failed", "import", "KeyboardInterrupt"),
    "base-exception": ("class Odd(BaseException): pass\nraise Odd('x')", "failed", "import", "Odd: x"),
    "unprintable": (
        "class Odd(Exception):\n def __str__(self): raise ValueError\nraise Odd",
        "failed",
        "import",
        "Odd",
    ),
    "recursion": ("def f(): f()\nf()", "failed", "import", "RecursionError"),
    "unknown-hook": ("@hookimpl\ndef gesso_register_sampler(registry): ...", "failed", "register", "samplers"),
    "no-prefix": ("@hookimpl\ndef on_step(ctx): ...", "failed", "register", "Unknown hook 'on_step'"),
    "wrong-argument": ("@hookimpl\ndef gesso_on_step(ctx, stepp): ...", "failed", "register", "stepp"),
    "wrong-phase": (
        "@hookimpl(phase='noon')\ndef gesso_filter_prompt(prompt): ...",
        "failed",
        "register",
        "template, wildcard, style, tag",
    ),
    "wrapper-elsewhere": (
        "@hookimpl(wrapper=True)\ndef gesso_on_step(ctx):\n yield",
        "failed",
        "register",
        "choose hooks only",
    ),
    "async-hook": ("@hookimpl\nasync def gesso_on_step(ctx): ...", "failed", "register", "plain functions"),
    "api-99": ("api = '99'", "incompatible", "import", "'99'"),
    "api-missing": ("del api", "incompatible", "import", "declares no `api`"),
    "missing-dependency": ("import no_such_package.part", "missing-deps", "import", "'no_such_package'"),
    "own-module-missing": ("from . import absent", "failed", "import", "ImportError"),
    "own-module-gone": ("import own_module_gone.absent", "failed", "import", "ModuleNotFoundError"),
    "torch-at-import": ("import torch", "failed", "import", "imports torch"),
    "torch-swallowed": ("try: import torch\nexcept ImportError: torch = None", "failed", "import", "imports torch"),
    "gradio-at-import": ("import gradio as gr", "failed", "import", "imports gradio"),
    "heavy-indirect": ("import diffusers.pipelines", "failed", "import", "imports diffusers"),
    "patches-pil": ("import PIL.Image\nPIL.Image.open = print", "failed", "import", "PIL.Image.open"),
    "patches-builtins": ("import builtins\nbuiltins.open = None", "failed", "import", "builtins.open"),
    "patches-method": (
        "import pathlib\npathlib.Path.exists = lambda self: True",
        "failed",
        "import",
        "pathlib.Path.exists",
    ),
    "entry-is-a-class": ("class Plugin: api = '1'", "failed", "import", "is a class"),
    "entry-missing": ("", "failed", "import", "AttributeError"),
    "os-exit": ("import os; os._exit(0)", "failed", "probe", "ended Python with exit status 0"),
    "os-exit-1": ("import os; os._exit(1)", "failed", "probe", "ended Python with exit status 1"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "failed", "probe", "SIGSEGV"),
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "failed", "probe", "SIGKILL"),
    "sleeps": ("import time; time.sleep(60)", "failed", "probe", "had not been imported after"),
    "c-loop": ("sum(iter(int, 1))", "failed", "probe", "had not been imported after"),
    "hangs-in-register": (
        "@hookimpl\ndef gesso_register_samplers(registry):\n while True: pass",
        "failed",
        "probe",
        "had not been imported after",
    ),
    "dies-in-register": (
        "@hookimpl\ndef gesso_register_samplers(registry):\n import os; os._exit(4)",
        "failed",
        "probe",
        "exit status 4",
    ),
}
VALUES = {"entry-is-a-class": "entry_is_a_class.plugin:Plugin", "entry-missing": "entry_missing.plugin:nothing.more"}
HARMLESS = {
    "prints": "import os\nfor _ in range(40): print('x' * 100_000)\nos.write(1, b'raw' * 100_000)",
    "prints-to-buffer": "import sys\nsys.stdout.buffer.write(b'raw' * 100_000)",
    "closes-stdout": "import sys, os\nsys.stdout.close()\nos.close(1)",
    "closes-real-stdout": "import sys\nsys.__stdout__.close()",
    "changes-argv": "import sys\nsys.argv[:] = ['hacked']",
    "replaces-argv": "import sys\nsys.argv = ['hacked']",
    "changes-folder": "import os\nos.chdir('/')",
    "changes-locale": "import locale\nlocale.setlocale(locale.LC_ALL, 'C')",
    "takes-sigint": "import signal, threading\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
    "leaves-a-thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
}
AROUND = """
import locale, os, signal
result = {
    "states": {s.name: s.model_dump(mode="json") for s in host.states},
    "samplers": sorted(s.name for s in host.registry("samplers")),
    "argv": sys.argv, "folder": os.getcwd(), "locale": locale.setlocale(locale.LC_ALL),
    "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
}
"""


def add_zoo(site: Any, *names: str) -> None:
    for name in names:
        code, value = ZOO[name][0], VALUES.get(name)
        site.plugin(name, textwrap.dedent(code), points={name: value} if value else None)


@pytest.fixture(scope="module")
def whole_zoo(tmp_path_factory, make_site) -> dict[str, Any]:
    """All broken plugins at once, with two good ones around them; loaded twice, the second time from the cache."""
    site = make_site(tmp_path_factory.mktemp("zoo"))
    add_zoo(site, *ZOO)
    for name, code in HARMLESS.items():
        site.plugin(name, code)
    site.plugin("aaa-good", SAMPLER)
    site.plugin("zzz-good", SAMPLER)
    first = site.load(AROUND, timeout=2)
    return {"first": first, "second": site.load(AROUND, timeout=2), "site": site}


@pytest.mark.parametrize("name", ZOO)
def test_a_broken_plugin_is_a_row_with_its_reason(whole_zoo, name: str):
    _, state, phase, words = ZOO[name]
    row = whole_zoo["first"]["states"][name]
    assert (row["state"], row["phase"]) == (state, phase), row
    assert words in row["error"]
    assert row["dist"] == name
    assert row["version"] == "1.0"


@pytest.mark.parametrize("name", [*HARMLESS, "aaa-good", "zzz-good"])
def test_the_others_work_beside_them(whole_zoo, name: str):
    assert whole_zoo["first"]["states"][name]["state"] == "enabled", whole_zoo["first"]["states"][name]


def test_what_plugins_change_around_them_is_put_back(whole_zoo):
    first = whole_zoo["first"]
    assert first["samplers"] == ["aaa_good", "zzz_good"]
    assert first["argv"] == ["-c"]
    assert first["folder"] == str(whole_zoo["site"].root.parent)
    assert first["locale"] != "C"
    assert first["sigint"]


def test_the_cache_says_the_same_as_the_probe(whole_zoo):
    def judged(run: dict[str, Any]) -> dict[str, Any]:
        return {name: [s["state"], s["phase"], s["error"]] for name, s in run["states"].items()}

    assert judged(whole_zoo["second"]) == judged(whole_zoo["first"])


def test_a_crash_leaves_its_traceback(whole_zoo):
    row = whole_zoo["first"]["states"]["segfault"]
    assert "segfault/plugin.py" in row["traceback"]


@pytest.mark.parametrize("name", ["system-exit", "keyboard-interrupt", "base-exception", "recursion", "unknown-hook"])
def test_the_boundary_holds_without_the_probe(site, name: str):
    add_zoo(site, name)
    site.plugin("zzz-good", SAMPLER)
    states = site.load(probe=False)
    assert (states[name]["state"], states[name]["phase"]) == ZOO[name][1:3]
    assert states["zzz-good"]["state"] == "enabled"


def test_half_a_plugin_is_not_registered(site):
    """pluggy may attach the good implementation before it finds the bad one."""
    site.plugin("half", SAMPLER + "\n@hookimpl\ndef gesso_zzz_unknown(registry): ...\n")
    result = site.load("result = [len(host.registry('samplers')), host.states[0].hooks]", probe=False)
    assert result == [0, []]


def test_an_optional_hook_of_a_newer_gesso_is_left_alone(site):
    site.plugin("newer", "@hookimpl(optionalhook=True)\ndef gesso_register_holograms(registry): ...\n" + SAMPLER)
    states = site.load()
    assert states["newer"]["state"] == "enabled"
    assert states["newer"]["hooks"] == ["gesso_register_samplers"]


def test_an_object_may_be_the_plugin(site):
    code = """
    class Plugin:
        api = "1"
        @property
        def trap(self): raise RuntimeError("evaluated")
        @hookimpl
        def gesso_on_startup(self, process): ...
    plugin = Plugin()
    """
    site.plugin("an-object", textwrap.dedent(code), points={"an-object": "an_object.plugin:plugin"})
    states = site.load()
    assert (states["an-object"]["state"], states["an-object"]["hooks"]) == ("enabled", ["gesso_on_startup"])


def test_two_entry_points_on_one_module_are_told_apart(site):
    site.plugin("one", points={"one": "one.plugin", "two": "one.plugin"})
    states = site.load()
    assert states["one"]["state"] == "enabled"
    assert states["two"]["state"] == "failed"
    assert "same object as one:one" in states["two"]["error"]


def test_a_real_interrupt_is_not_a_plugins_failure(site):
    """A person's Ctrl-C while plugins are imported ends the program."""
    site.plugin("slow", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = site.run("from gesso.plugins import Host\nHost.load(probe=False)", check=False)
    assert done.returncode != 0
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


def test_prints_do_not_reach_stdout(site):
    site.plugin("prints", "import os\nprint('from python')\nos.write(1, b'from below')\n" + SAMPLER)
    done = site.run("from gesso.plugins import Host\nHost.load(probe=False).fill()\nprint('result')")
    assert done.stdout == "result\n"


def test_closing_stdout_does_not_silence_the_program(site):
    site.plugin("closes", "import os, sys\nsys.__stdout__.close()\nsys.stdout.close()\n")
    done = site.run("from gesso.plugins import Host\nHost.load(probe=False)\nprint('result')")
    assert done.stdout == "result\n"


def test_zero_plugins_boot(site):
    site.plugin("one", SAMPLER)
    result = site.load(
        "host.emit('gesso_on_startup', process='host')\n"
        "result = [len(host.registry('samplers')), [s.state for s in host.states],\n"
        "          host.filter('gesso_filter_prompt', 'a', request=None)]",
        selection="Selection(only=())",
    )
    assert result == [0, ["disabled"], "a"]


def test_selection(site):
    site.add("gesso", {"built.py": 'api = "1"\n'}, points={"built": "built"})
    for name in ("one", "two", "gesso-three"):
        site.plugin(name, points={name.removeprefix("gesso-"): f"{name.replace('-', '_')}.plugin"})

    def enabled(selection: str) -> list[str]:
        return site.load("result = [s.name for s in host.states if s.state == 'enabled']", selection=selection)

    assert enabled("Selection(safe_mode=True)") == ["built"]
    assert enabled("Selection(only=('one', 'gesso-three'))") == ["one", "three"]
    assert enabled("Selection(only=('builtin', 'two:two'))") == ["built", "two"]
    assert enabled("Selection(without=('one', 'builtin'))") == ["three", "two"]
    done = site.run(
        "from gesso.plugins import Host, Selection\nHost.load(selection=Selection(only=('thre',)))", check=False
    )
    assert "Unknown plugin 'thre'. Did you mean 'three'" in done.stderr


def test_what_is_left_out_is_not_imported(site):
    site.plugin("crashes", "import os; os._exit(1)")
    states = site.load(selection="Selection(without=('crashes',))")
    assert states["crashes"]["state"] == "disabled"
    assert "--without" in states["crashes"]["hint"]
