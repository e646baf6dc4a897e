"""Installing: resolved under the core's versions, shown, put in, tried out; or explained and nothing changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gesso.testing.overlay import Source

CORE = ("numpy", "torch", "transformers", "gradio")


def test_it_is_shown_installed_tried_and_enabled(shop: Any):
    before = shop.files()
    shown = shop.plugins("install", "gesso-says", "gesso-a", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "tinydep" in shown.stdout
    assert "gesso-says:says 1.0  declares to use: network, subprocess" in shown.stdout
    assert "A plugin is code" in shown.stdout
    assert shop.files() == before

    told = shop.done("install", "gesso-a")
    assert [(c["name"], c["kind"], c["old"], c["new"], c["needed_by"]) for c in told["changes"]] == [
        ("gesso-a", "new", "", "1.0", []), ("tinydep", "new", "", "1.0", ["gesso-a"]),
    ]  # fmt: skip
    assert all(len(change["sha256"]) == 64 and change["size"] > 0 for change in told["changes"])
    assert shop.versions() == {"gesso-a": "1.0", "tinydep": "1.0"}
    assert shop.states()["a"]["state"] == "enabled"
    assert not shop.pending.exists()
    assert (shop.site / "gesso_a-1.0.dist-info" / "REQUESTED").exists()
    assert not (shop.site / "tinydep-1.0.dist-info" / "REQUESTED").exists()


def test_pip_itself_can_remove_what_was_installed(shop: Any):
    before = shop.files()
    shop.done("install", "gesso-up==1.0", "--no-smoke")
    assert (shop.folder / "venv/bin/gesso-up").exists()
    shop.run("-m", "pip", "uninstall", "-y", "gesso-up", "tinydep")
    assert shop.files() == before


def test_what_would_change_the_core_is_refused_before_anything_changes(shop: Any):
    before, files = shop.freeze(), shop.files()
    for name in CORE:
        refused = shop.plugins("install", f"gesso-{name}", "--yes")
        assert refused.returncode == 1
        assert f"needs {name}<" in refused.stderr
        assert f"the core keeps {name} " in refused.stderr
        assert "Nothing was changed." in refused.stderr
    assert "deep 1.0 (for gesso-transformers) needs transformers<4" in shop.plugins(
        "install", "gesso-transformers", "--yes"
    ).stderr  # fmt: skip
    assert shop.freeze() == before
    assert shop.files() == files


def test_two_plugins_with_conflicting_needs_are_explained_by_name(shop: Any):
    together = shop.plugins("install", "gesso-a", "gesso-b", "--yes")
    assert together.returncode == 1
    assert "gesso-a 1.0 needs tinydep<2" in together.stderr
    assert "gesso-b 1.0 needs tinydep>=2" in together.stderr
    shop.done("install", "gesso-a", "--no-smoke")
    before = shop.freeze()
    after = shop.plugins("install", "gesso-b", "--yes")
    assert after.returncode == 1
    assert "gesso-b 1.0 needs tinydep>=2" in after.stderr
    assert "the installed gesso-a 1.0 needs tinydep<2 (tinydep 1.0 is installed)" in after.stderr
    assert shop.freeze() == before


def test_a_plugin_that_would_break_under_another_is_noticed(shop: Any):
    """No declared need forbids it: only trying it out tells."""
    shop.run("-m", "pip", "install", "-q", "tinydep==1.0", "gesso-unbound")
    before = shop.files()
    assert shop.states()["unbound"]["state"] == "enabled"
    refused = shop.plugins("install", "gesso-b", "--yes", "--no-smoke")
    assert refused.returncode == 1
    assert "gesso-unbound:unbound cannot be used (failed; it worked before)" in refused.stderr
    assert shop.files() == before


def test_what_cannot_be_installed_is_one_sentence(shop: Any, wheel: Callable[..., Path]):
    before = shop.files()
    says = {
        "numpy==1.26.0": "numpy is a package of gesso's core",
        "torch": "torch is a package of gesso's core",
        str(wheel("numpy", "1.26.0")): "the core keeps numpy",
        "no-such-plugin": "There is no no-such-plugin in the package index",
        "gesso-lost": "not-to-be-had>3, which gesso-lost needs, cannot be found",
        "gesso-up>=9": "gesso-up>=9",
        "plainlib": "no gesso plugin",
        "gesso-hides": "would hide the module safetensors",
        "./nothing.whl": "There is no ",
        "!!": "neither a name, nor a file, nor an address",
    }
    said = shop.refusals(*says)
    assert {target: text for target, text in says.items() if text not in said[target]} == {}
    assert shop.files() == before


def test_no_file_of_another_plugin_is_overwritten(shop: Any):
    shop.done("install", "gesso-a", "--no-smoke")
    refused = shop.plugins("install", "gesso-thief", "--yes")
    assert refused.returncode == 1
    assert "gesso-thief would overwrite" in refused.stderr
    assert "of gesso-a 1.0" in refused.stderr


def test_without_a_network_it_says_so(shop: Any):
    away = {"PIP_NO_INDEX": "", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_FIND_LINKS": "", "PIP_RETRIES": "1"}
    refused = shop.plugins("install", "gesso-a", "--yes", env=away)
    assert refused.returncode == 1
    assert "cannot be reached" in refused.stderr
    assert "Is there a network" in refused.stderr


def test_without_yes_nobody_is_there_to_be_asked(shop: Any):
    refused = shop.plugins("install", "gesso-a", stdin=subprocess.DEVNULL)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert shop.versions() == {}


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_in_a_terminal_it_asks(shop: Any):
    ours, theirs = os.openpty()
    os.write(ours, b"n\n")
    asked = shop.plugins("install", "gesso-flip==1.0", stdin=theirs)
    os.close(ours)
    os.close(theirs)
    assert "Go on? [y/N]" in asked.stdout
    assert asked.stdout.rstrip().endswith("Nothing was changed.")
    assert shop.versions() == {}


def test_what_fails_its_trial_is_taken_out_again(shop: Any):
    shop.done("install", "gesso-flip==1.0", "--no-smoke")
    before = shop.files()
    refused = shop.plugins("update", "flip", "--yes")
    assert refused.returncode == 1
    assert "worse than before" in refused.stderr
    assert shop.files() == before
    assert shop.states()["flip"]["version"] == "1.0"
    last = shop.history()[-1]
    assert last["phase"] == "undone"
    assert "worse than before" in last["reason"]


def test_the_smoke_suite_finds_what_the_probe_cannot(shop: Any):
    refused = shop.plugins("install", "gesso-torn", "--yes")
    assert refused.returncode == 1
    assert "fails the smoke check lazy_resolves" in refused.stderr
    assert shop.versions() == {}


def test_a_project_folder_and_a_wheel(shop: Any, wheel: Callable[..., Path], tmp_path: Path):
    files = {"gesso_mine/__init__.py": "", "gesso_mine/plugin.py": 'api = "1"\n'}
    folder = Source("gesso-mine", files).write(tmp_path / "projects")
    told = shop.done("install", str(folder), str(wheel("gesso-flip")), "--no-smoke")
    assert {change["name"] for change in told["changes"]} == {"gesso-mine", "gesso-flip"}
    assert set(shop.states()) == {"mine", "flip"}
    assert {"gesso-mine==1.0", "gesso-flip==1.0"} <= set(shop.freeze())


BACKEND = """
import zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    info, wheel = "gesso_git-1.dist-info", "gesso_git-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{wheel_directory}/{wheel}", "w") as archive:
        archive.writestr("gesso_git/plugin.py", 'api = "1"\\n')
        archive.writestr("gesso_git/__init__.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: gesso-git\\nVersion: 1\\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{info}/entry_points.txt", "[gesso]\\ngit = gesso_git.plugin\\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel
"""


def test_a_repository(shop: Any, tmp_path: Path):
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "backend.py").write_text(BACKEND)
    (repository / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "gesso-git"\nversion = "1"\n'
    )
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *command], cwd=repository, check=True, capture_output=True)
    told = shop.done("install", f"git+{repository.as_uri()}", "--no-smoke")
    assert told["plugins"] == [{"id": "gesso-git:git", "version": "1", "capabilities": [], "summary": ""}]
    assert shop.states()["git"]["state"] == "enabled"


def test_plain_pip_works_and_is_told_once(shop: Any):
    shop.run("-m", "pip", "install", "-q", "gesso-a")
    first, second = shop.plugins("list"), shop.plugins("list")
    assert "New plugins: gesso-a:a 1.0 (enabled)" in first.stderr
    assert "New plugins" not in second.stderr
    told = shop.done("uninstall", "a")
    assert told["notes"] == ["Nothing else needs tinydep: --orphans removes them as well."]
