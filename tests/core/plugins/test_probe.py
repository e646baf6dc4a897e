"""The probe blames the plugin that did it, whatever an earlier one left behind, and cleans up after itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gesso.plugins.discovery import Entry
from gesso.plugins.prober import probe

PROBE = """
import json, sys
from gesso.plugins.discovery import discover
from gesso.plugins.prober import probe
entries = discover().entries
print(json.dumps([[e.name, v.state, v.error] for e, v in zip(entries, probe(entries, timeout={timeout}))]))
"""


def probed(site: Any, timeout: float = 10) -> dict[str, list[str]]:
    rows = json.loads(site.run(PROBE.format(timeout=timeout)).stdout)
    return {name: [state, error] for name, state, error in rows}


def test_an_earlier_plugins_thread_does_not_condemn_a_later_one(site):
    """The first plugin ends the process while the second is imported; the second is innocent."""
    site.plugin("aaa", "import os, threading\nthreading.Timer(0.3, os._exit, [5]).start()\n")
    site.plugin("bbb", "import time; time.sleep(1)\n")
    assert probed(site)["bbb"] == ["enabled", ""]


def test_an_earlier_plugins_damage_does_not_condemn_a_later_one(site):
    site.plugin("aaa", "import json, os\nos.getcwd = None\njson.dumps.__code__ = (lambda *a, **k: 1/0).__code__\n")
    site.plugin("bbb", "import sys\nsys.modules['random'] = None\n")
    site.plugin("ccc", "import random\n")
    found = probed(site)
    assert found["ccc"] == ["enabled", ""]
    assert found["aaa"][0] == "failed"


def test_threads_that_run_on_do_not_keep_the_probe(site):
    site.plugin("aaa", "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n")
    assert probed(site)["aaa"] == ["enabled", ""]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_grandchildren_are_ended_too(site, tmp_path):
    note = tmp_path / "pid"
    code = f"import subprocess\nopen({str(note)!r}, 'w').write(str(subprocess.Popen(['sleep', '600']).pid))\n"
    site.plugin("aaa", code)
    probed(site)
    status = Path("/proc", note.read_text(), "status")
    assert not status.exists() or "State:\tZ" in status.read_text()


def test_there_is_no_stdin_and_the_own_folder_is_not_importable(site):
    site.plugin("aaa", "import sys\nassert sys.stdin.read() == ''\nassert '' not in sys.path\n")
    trap = "open('platform.py', 'w').write('raise RuntimeError')\n"
    code = PROBE.format(timeout=10).replace("entries = ", f"{trap}entries = ")
    assert json.loads(site.run(code).stdout) == [["aaa", "enabled", ""]]


def test_what_was_seen_is_reported(site):
    code = """
from gesso import Command, lazy
@hookimpl
def gesso_register_commands(registry):
    registry.add(Command(name="hello", app=lazy("json:dumps", object), help="Says hello."))
@hookimpl
def gesso_on_startup(process): ...
"""
    site.plugin("aaa", code)
    site.load()
    verdict = json.loads((site.home / "plugins.cache.json").read_bytes())["plugins"]["aaa:aaa"]
    assert verdict["commands"] == [["hello", "Says hello."]]
    assert verdict["hooks"] == ["gesso_on_startup", "gesso_register_commands"]
    assert (verdict["api"], verdict["state"]) == ("1", "enabled")
    assert verdict["import_ms"] > 0


def test_a_probe_that_cannot_start_stops_nobody(site):
    """No process can be had: what is known good is loaded, the rest waits, and nothing wrong is remembered."""
    site.plugin("known")
    site.load()
    site.plugin("new")
    broken = (
        "import gesso.plugins.prober as prober\ndef fails(*a, **k): raise OSError('no process')\nprober.probe = fails\n"
    )
    code = broken + (
        "from gesso.plugins import Host\nhost = Host.load()\nprint({s.name: (s.state, s.error) for s in host.states})\n"
    )
    assert site.run(code).stdout == "{'known': ('enabled', ''), 'new': ('failed', 'no process')}\n"
    assert site.load()["new"]["state"] == "enabled"


def test_no_entries_need_no_child():
    assert probe([]) == []


def test_an_entry_that_names_nothing(tmp_path):
    verdict = probe([Entry("ghost", "ghost", "1", "no_such_module_at_all")])[0]
    assert (verdict.state, verdict.phase) == ("failed", "import")
    assert "no_such_module_at_all" in verdict.error
