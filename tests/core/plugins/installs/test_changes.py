"""Updating, going back, removing: what is left, what is needed, and that the way back needs nothing from outside."""

from __future__ import annotations

from typing import Any

import pytest

NOWHERE = {"PIP_FIND_LINKS": "", "PIP_NO_INDEX": "1", "PATH": ""}


@pytest.fixture
def with_up(shop: Any) -> Any:
    """An environment with gesso-up 1.0 and tinydep 1.0."""
    shop.run("-m", "pip", "install", "-q", "--no-compile", "tinydep==1.0", "gesso-up==1.0")
    return shop


def test_update_and_back_without_anything_from_outside(with_up: Any):
    before = with_up.files()
    with_up.plugins("disable", "up")
    told = with_up.done("update", "up", "--no-smoke")
    assert [(c["name"], c["kind"], c["old"], c["new"]) for c in told["changes"]] == [
        ("gesso-up", "upgrade", "1.0", "2.0")
    ]
    assert (with_up.site / "gesso_up/new/part.py").exists()
    assert not (with_up.site / "gesso_up/old.py").exists()
    assert not (with_up.folder / "venv/bin/gesso-up").exists()
    assert with_up.states()["up"]["state"] == "enabled"
    assert with_up.plugins("update", "--yes").stdout.strip() == "Everything is up to date."

    told = with_up.done("rollback", env=NOWHERE)
    assert [(c["kind"], c["new"]) for c in told["changes"]] == [("downgrade", "1.0")]
    assert with_up.files() == before
    assert with_up.states()["up"]["version"] == "1.0"
    # and the way back of the way back
    with_up.done("rollback", env=NOWHERE)
    assert with_up.states()["up"]["version"] == "2.0"
    assert [change["what"] for change in with_up.history()] == ["update up", "rollback 1", "rollback 2"]


def test_rollback_goes_behind_several_changes_and_leaves_what_they_did_not_touch(with_up: Any):
    with_up.done("install", "gesso-flip==1.0", "--no-smoke")
    with_up.done("uninstall", "up", "--orphans")
    with_up.run("-m", "pip", "install", "-q", "gesso-says")
    assert with_up.versions() == {"gesso-flip": "1.0", "gesso-says": "1.0", "tinydep": "1.0"}
    with_up.done("rollback", "1", env=NOWHERE)
    assert with_up.versions() == {"gesso-up": "1.0", "gesso-says": "1.0", "tinydep": "1.0"}
    assert "There is no change 9" in with_up.plugins("rollback", "9").stderr


def test_uninstall_tells_what_is_left_and_who_needs_it(shop: Any):
    before = shop.files()
    shop.done("install", "gesso-needs-up", "--no-smoke")
    refused = shop.plugins("uninstall", "up", "--yes")
    assert refused.returncode == 1
    assert "gesso-up is needed by gesso-needs-up 1.0 (gesso-up)" in refused.stderr
    data = shop.home / "plugins" / "gesso-needs-up"
    data.mkdir(parents=True)
    (data / "kept").write_text("x")
    shown = shop.plugins("uninstall", "gesso-needs-up", "--dry-run")
    assert "Nothing else needs gesso-up, tinydep: --orphans removes them as well." in shown.stdout
    assert f"Its data stays: {data}." in shown.stdout
    told = shop.done("uninstall", "gesso-needs-up", "--orphans", "--data")
    assert [change["name"] for change in told["changes"]] == ["gesso-needs-up", "gesso-up", "tinydep"]
    assert shop.files() == before
    assert not data.exists()
    assert "gesso-up:up" not in (shop.home / "plugins.cache.json").read_text()
    assert shop.states() == {}


def test_one_with_broken_metadata_can_be_removed(with_up: Any):
    (with_up.site / "gesso_up-1.0.dist-info" / "METADATA").write_text("")
    assert with_up.states()["gesso-up"]["state"] == "failed"
    with_up.done("uninstall", "gesso-up")
    assert with_up.versions() == {"tinydep": "1.0"}


def test_what_gesso_brings_and_what_lies_elsewhere_is_not_removed(shop: Any):
    assert "comes with gesso" in shop.plugins("uninstall", "samplers", "--yes").stderr
    assert "outside this environment" in shop.plugins("uninstall", "pytest", "--yes").stderr
    assert "part of gesso's core" in shop.plugins("uninstall", "torch", "--yes").stderr
    assert "Unknown plugin 'nothing'" in shop.plugins("uninstall", "nothing", "--yes").stderr


def test_going_back_does_not_take_what_others_need_since(shop: Any):
    shop.done("install", "gesso-a", "--no-smoke")
    shop.done("uninstall", "a")  # tinydep stays
    shop.run("-m", "pip", "install", "-q", "gesso-up==1.0")
    refused = shop.plugins("rollback", "1", "--yes")
    assert refused.returncode == 1
    assert "gesso-up 1.0 needs tinydep, and none is installed" in refused.stderr
