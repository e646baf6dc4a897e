"""What the probe said is remembered: when it holds, when it is asked again, and what a crash leaves behind."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gesso.plugins.cache import CachedCommand, Verdict, cached_commands, read_cache, write_cache, write_disabled
from gesso.plugins.marks import LoadMark, crashed_plugins

COMMAND = """
from gesso import Command, lazy
@hookimpl
def gesso_register_commands(registry):
    registry.add(Command(name="{name}", app=lazy("json:dumps", object), help="Does {name}."))
"""
PROBED = """
import json, gesso.plugins.prober as prober
from gesso.plugins import Host, Selection
probed, probe = [], prober.probe
def noting(entries, **options):
    probed.extend(e.name for e in entries)
    return probe(entries, **options)
prober.probe = noting
host = Host.load()
print(json.dumps([sorted(probed), {s.name: [s.state, s.error] for s in host.states}]))
"""


def probed(site: Any, **kwargs: Any) -> list[Any]:
    """[names that were probed, {name: [state, error]}] of one start."""
    return json.loads(site.run(PROBED, **kwargs).stdout)


def test_only_what_is_new_is_probed(site):
    site.plugin("one")
    assert probed(site)[0] == ["one"]
    assert probed(site)[0] == []
    site.plugin("two")
    assert probed(site)[0] == ["two"]
    site.plugin("one", "changed = 1")
    assert probed(site)[0] == ["one"]


def test_a_bad_verdict_holds_until_something_is_installed(site):
    site.plugin("bad", "1/0")
    assert probed(site)[0] == ["bad"]
    assert probed(site) == [[], {"bad": ["failed", "ZeroDivisionError: division by zero"]}]
    site.plugin("other")
    assert probed(site)[0] == ["bad", "other"]


def test_a_bad_verdict_does_not_outlive_a_change_of_an_editable_gesso(site, tmp_path: Path):
    site.core = shutil.copytree(site.core, tmp_path / "core", ignore=shutil.ignore_patterns("__pycache__", "data"))
    editable = {"direct_url.json": '{"url": "file:///somewhere", "dir_info": {"editable": true}}'}
    built_in = {"built.py": 'api = "1"\n'}
    site.add("gesso", built_in, points={"built": "built"}, extra=editable)
    site.plugin("bad", "1/0")
    assert probed(site)[0] == ["bad", "built"]
    assert probed(site)[0] == []
    (site.core / "gesso" / "contributions.py").touch()
    assert probed(site)[0] == ["bad"]


def test_a_missing_dependency_is_noticed_when_it_comes(site):
    site.plugin("needy", "import wanted_package")
    assert probed(site)[1]["needy"][0] == "missing-deps"
    assert probed(site)[0] == []
    site.root.joinpath("wanted_package.py").write_text("")  # as an editable install adds it
    assert probed(site) == [["needy"], {"needy": ["enabled", ""]}]


def test_two_starts_at_once_probe_once(site, tmp_path: Path):
    note = tmp_path / "note"
    code = f"import sys\nif 'gesso.plugins.probe' in sys.orig_argv: open({str(note)!r}, 'a').write('x')\n"
    site.plugin("slow", code + "import time; time.sleep(0.5)\n")
    with ThreadPoolExecutor(3) as threads:
        starts = list(threads.map(lambda _: probed(site)[1], range(3)))
    assert starts == [{"slow": ["enabled", ""]}] * 3
    assert note.read_text() == "x"


def test_an_uninstalled_plugin_is_forgotten(site):
    site.plugin("stays")
    info = site.plugin("goes", COMMAND.format(name="gone"))
    probed(site)
    assert [c.name for c in cached_commands(site.home)] == ["gone"]
    for file in info.iterdir():
        file.unlink()
    info.rmdir()
    assert probed(site) == [[], {"stays": ["enabled", ""]}]
    site.plugin("new")
    probed(site)
    assert sorted(read_cache(site.home / "plugins.cache.json")) == ["new:new", "stays:stays"]
    assert cached_commands(site.home) == []


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema": 999, "commands": [], "plugins": {}}', b"[" * 100_000,
        b'{"schema": 1, "commands": [["a"]],\n"plugins": {"one:one": {}}}',
        b'{"schema": 1, "commands": 5,\n"plugins": {"one:one": {"key": 5}}}',
    ],
)  # fmt: skip
def test_an_unreadable_cache_is_an_empty_one(site, content: bytes):
    site.plugin("one")
    site.home.mkdir()
    path = site.home / "plugins.cache.json"
    path.write_bytes(content)
    assert read_cache(path) == {}
    assert cached_commands(site.home) == []
    assert probed(site) == [["one"], {"one": ["enabled", ""]}]
    assert list(read_cache(path)) == ["one:one"]


def test_a_read_only_home_does_not_stop_the_start(site):
    site.plugin("one")
    site.home.write_text("a file where the folder should be")
    assert probed(site)[1] == {"one": ["enabled", ""]}


def test_verdicts_survive_the_file(tmp_path: Path):
    path = tmp_path / "plugins.cache.json"
    bad = Verdict("k", "e", "failed", "probe", 'It "ended"\nPython.', "trace\n", "hint", import_ms=1.5)
    good = Verdict("k2", "e", hooks=("gesso_on_step",), commands=(("hello", "Says\nhello."),), api="1", import_ms=2.0)
    write_cache(path, {"bad:bad": bad, "good:good": good})
    assert read_cache(path) == {"bad:bad": bad, "good:good": good}
    json.loads(path.read_bytes())
    assert cached_commands(tmp_path) == [CachedCommand("hello", "Says\nhello.", "good:good")]
    write_disabled(tmp_path / "settings" / "plugins.json", ["good:good"])
    assert cached_commands(tmp_path) == []


def test_help_reads_one_line_and_imports_nothing(site):
    site.plugin("one", COMMAND.format(name="hello"))
    site.plugin("broken", COMMAND.format(name="never") + "1/0\n")
    site.load()
    path = site.home / "plugins.cache.json"
    head, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(head + b"\n" + rest[:5] + b"\xff damaged")
    code = (
        "import sys\nfrom gesso.plugins import cached_commands\nprint(list(map(tuple, cached_commands())))\n"
        "print(sorted({'pluggy', 'pydantic', 'importlib.metadata', 'filelock', 'torch', 'one'} & set(sys.modules)))"
    )
    assert site.run(code).stdout.splitlines() == ["[('hello', 'Does hello.', 'one:one')]", "[]"]


# --- crashes ------------------------------------------------------------------------------------------------------

IN_HOST = """
import os, sys
if "gesso.plugins.probe" not in sys.orig_argv and not os.environ.get("SPARE"):
    os._exit(9)
"""


def test_a_crash_orders_a_new_probe_and_the_second_is_a_verdict(site):
    """The probe finds nothing wrong, the program ends all the same: it starts again at the third attempt."""
    site.plugin("crashes", IN_HOST)
    site.plugin("fine")
    for _ in range(2):
        assert site.run(PROBED, check=False).returncode == 9
    names, states = probed(site)
    assert names == ["crashes"]
    assert states["crashes"][0] == "failed"
    assert "2 times the process ended while this plugin was loaded" in states["crashes"][1]
    assert states["fine"] == ["enabled", ""]
    assert probed(site)[0] == []


def test_one_crash_is_forgiven_when_the_plugin_loads_again(site, monkeypatch):
    site.plugin("crashes", IN_HOST)
    assert site.run(PROBED, check=False).returncode == 9
    monkeypatch.setenv("SPARE", "1")
    site.load()
    assert read_cache(site.home / "plugins.cache.json")["crashes:crashes"].crashes == 0


def test_a_probe_by_hand_gives_another_chance(site, monkeypatch):
    site.plugin("crashes", IN_HOST)
    for _ in range(2):
        site.run(PROBED, check=False)
    assert probed(site)[1]["crashes"][0] == "failed"
    monkeypatch.setenv("SPARE", "1")
    site.run("", args=("-m", "gesso", "plugins", "probe", "crashes"))
    assert probed(site)[1]["crashes"] == ["enabled", ""]


def test_a_crash_in_a_register_hook_is_marked_too(site):
    site.plugin("crashes", "@hookimpl\ndef gesso_register_samplers(registry):\n" + IN_HOST.replace("\n", "\n    "))
    assert site.run(PROBED + "host.fill()", check=False).returncode == 9
    assert crashed_plugins(site.home / "cache" / "loading") == {"crashes:crashes"}


def test_a_mark_counts_only_when_its_process_is_gone(tmp_path: Path):
    with LoadMark(tmp_path) as mark:
        mark.at("some:plugin-with-a-long-name")
        mark.at("some:plugin")
        assert crashed_plugins(tmp_path) == set()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "12-left.mark").write_text("some:plugin")
    assert crashed_plugins(tmp_path) == {"some:plugin"}
    assert crashed_plugins(tmp_path) == set()
