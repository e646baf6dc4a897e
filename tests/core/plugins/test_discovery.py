"""Which plugins are found, under which names, in which order, and when they count as changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DISCOVER = """
import json
from gesso.plugins.discovery import discover
print(json.dumps([{"id": e.id, "version": e.version, "error": e.error, "hint": e.hint, "key": e.key,
                   "fingerprint": e.fingerprint, "built_in": e.built_in} for e in discover().entries]))
"""


def discover(site: Any, **kwargs: Any) -> list[dict[str, Any]]:
    return json.loads(site.run(DISCOVER, **kwargs).stdout)


def test_built_ins_come_first_then_names(site):
    site.plugin("aaa")
    site.plugin("zzz", points={"bbb": "zzz.plugin"})
    site.add("gesso", {"core_plugins.py": ""}, points={"zebra": "core_plugins", "tiger": "core_plugins"})
    found = discover(site)
    assert [e["id"] for e in found] == ["gesso:tiger", "gesso:zebra", "aaa:aaa", "zzz:bbb"]
    assert [e["built_in"] for e in found] == [True, True, False, False]


def test_two_distributions_with_one_name_are_two_plugins(site):
    site.plugin("first", points={"same": "first.plugin"})
    site.plugin("second", points={"same": "second.plugin"})
    states = site.load("result = [[s.dist, s.state] for s in host.states]")
    assert states == [["first", "enabled"], ["second", "enabled"]]


def test_a_distribution_that_is_there_twice_counts_once(site, tmp_path: Path):
    """Editable and wheel side by side: the one Python imports is the one that counts, and the row says so."""
    other = tmp_path / "other"
    site.plugin("twice", "which = 'wheel'", version="1.0")
    site.plugin("twice", "which = 'editable'", version="2.0", into=other)
    found = discover(site, path=(other,))
    assert [(e["id"], e["version"]) for e in found] == [("twice:twice", "2.0")]
    assert "Installed twice" in found[0]["hint"]
    assert "twice-1.0" in found[0]["hint"]


def test_broken_metadata_is_a_row(site):
    site.plugin("fine")
    site.plugin("no-metadata").joinpath("METADATA").unlink()
    site.plugin("not-text", metadata=b"Name: \xff\xfe\x00")
    site.plugin("no-version", metadata="Metadata-Version: 2.1\nName: no-version\n\n")
    site.plugin("bad-points", entry_points="[gesso]\nthis is no entry point\n")
    site.plugin("bad-value", points={"bad-value": "1 + 1"})
    site.add("unrelated", {}, entry_points="[other]\nnonsense\n", metadata=b"\xff")
    states = site.load()
    assert sorted(states) == ["bad-points", "bad-value", "fine", "no-metadata", "no-version", "not-text"]
    for name, state in states.items():
        if name == "fine":
            assert state["state"] == "enabled"
        else:
            assert (state["state"], state["phase"]) == ("failed", "discovery")
            assert state["error"]


def test_what_pip_leaves_behind_is_not_a_plugin(site):
    info = site.plugin("gone")
    info.rename(info.parent / "~one-1.0.dist-info")
    assert discover(site) == []


def test_a_new_version_and_a_new_file_change_the_key(site):
    site.plugin("changing")
    first = discover(site)[0]["key"]
    assert discover(site)[0]["key"] == first
    site.plugin("changing", "other = 1")
    assert discover(site)[0]["key"] != first


def test_an_editable_install_changes_with_its_newest_file(site):
    editable = {"direct_url.json": '{"url": "file:///somewhere", "dir_info": {"editable": true}}'}
    site.plugin("editable", extra=editable)
    before = discover(site)[0]
    assert before["fingerprint"].startswith("mtime:")
    site.root.joinpath("editable", "more.py").write_text("")
    assert discover(site)[0]["key"] != before["key"]
    site.load()  # what Python writes beside the sources is no change
    assert discover(site)[0]["key"] == discover(site)[0]["key"]
    assert site.root.joinpath("editable", "__pycache__").exists()
    after = discover(site)[0]
    assert after["fingerprint"].split(":")[2] == "3"


def test_without_record_the_sources_tell(site):
    site.plugin("recordless").joinpath("RECORD").unlink()
    assert discover(site)[0]["fingerprint"].startswith("mtime:")


def test_local_plugins_come_last(site, tmp_path: Path):
    folder = tmp_path / "mine"
    (folder / "packaged").mkdir(parents=True)
    (folder / "packaged" / "__init__.py").write_text("")
    (folder / "packaged" / "plugin.py").write_text('api = "1"\nfrom .inner import value\n')
    (folder / "packaged" / "inner.py").write_text("value = 1\n")
    (folder / "single.py").write_text('from gesso import hookimpl\napi = "1"\n')
    (folder / "json.py").write_text('api = "1"\n')
    (folder / "notes.txt").write_text("")
    site.plugin("zzz")
    states = site.load(
        "result = {f'{s.dist}:{s.name}': [s.state, s.error] for s in host.states}",
        selection=f"Selection(plugins_dir=__import__('pathlib').Path({str(folder)!r}))",
    )
    assert list(states) == ["zzz:zzz", "local:json", "local:packaged", "local:single"]
    assert states["local:packaged"] == states["local:single"] == ["enabled", ""]
    assert states["local:json"][0] == "failed"
    assert "already belongs" in states["local:json"][1]
