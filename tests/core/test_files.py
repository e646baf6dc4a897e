"""Whole-file writing, and where things are."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from gesso.files import write_whole
from gesso.paths import Paths, home_folder


def test_content_is_replaced_and_nothing_is_left_lying(tmp_path: Path):
    path = tmp_path / "deep" / "er" / "file.json"
    write_whole(path, "first ×")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_at_any_step_leaves_the_old_content(tmp_path: Path, monkeypatch, step: str):
    path = tmp_path / "file"
    write_whole(path, "old")

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os if step == "fsync" else Path, step, fail)
        with pytest.raises(OSError, match="No space"):
            write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_the_mode_is_kept_and_a_new_file_follows_the_umask(tmp_path: Path):
    path = tmp_path / "file"
    previous = os.umask(0o027)
    try:
        write_whole(path, "")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o600)
        write_whole(path, "")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(previous)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_is_followed(tmp_path: Path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_home(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("GESSO_HOME", str(tmp_path / "given" / ".." / "home"))
    assert home_folder() == tmp_path / "home"
    assert home_folder(tmp_path) == tmp_path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GESSO_HOME", "relative")
    assert home_folder() == tmp_path / "relative"
    monkeypatch.setenv("GESSO_HOME", "")
    assert home_folder().is_absolute()
    assert home_folder().name == "gesso"


def test_everything_is_under_home(tmp_path: Path):
    paths = Paths.of(tmp_path)
    names = [name for name, value in vars(Paths).items() if isinstance(value, property)]
    assert {"settings", "database", "models", "outputs", "cache", "plugin_cache"} <= set(names)
    for name in names:
        assert getattr(paths, name).is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == []
