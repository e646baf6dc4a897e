"""`gesso plugins dev`: a real run over several saves, good and bad; what is watched and what is told."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gesso.cli.plugins_dev import Target, changes, differences, find_target, snapshot
from gesso.cli.plugins_new import new_plugin
from gesso.errors import BadFileError, InvalidInputError


class Running:
    """The command, with its lines as they come."""

    def __init__(self, *arguments: str, home: Path) -> None:
        command = [sys.executable, "-P", "-m", "gesso", "plugins", "dev", *arguments]
        environment = {**os.environ, "GESSO_HOME": str(home)}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def until(self, text: str) -> list[str]:
        """The lines up to one that holds the text."""
        found: list[str] = []
        while not (found and text in found[-1]):
            found.append(self._lines.get(timeout=240))
        return found

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()


def save(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.slow
def test_it_tells_what_changed_what_failed_and_goes_on(tmp_path: Path) -> None:
    new_plugin("dev-params", "params", tmp_path)
    root = tmp_path / "gesso-dev-params"
    plugin = root / "gesso_dev_params" / "plugin.py"
    running = Running(str(root), home=tmp_path / "home")
    try:
        first = running.until("Waiting")
        assert any("+ params.dev_params" in line for line in first), first
        assert any("checks pass, 0 fail" in line for line in first), first
        save(plugin, 'api = "1"', 'api = "1"\nimport nowhere_at_all')
        second = running.until("Waiting")
        assert "saved: gesso-dev-params/gesso_dev_params/plugin.py" in second[1]
        assert any("nowhere_at_all" in line and "✗" in line for line in second), second
        save(plugin, "import nowhere_at_all", "")
        save(plugin, 'label="Enabled"', 'label=""')
        third = running.until("Waiting")
        assert any("✗ described" in line and "has no label" in line for line in third), third
        save(plugin, "gesso_filter_request(request:", "gesso_filter_request(reqest:")
        fourth = running.until("Waiting")
        assert any("has no argument 'reqest'" in line for line in fourth), fourth
        assert running.process.poll() is None
    finally:
        status = running.end()
    assert status == 130


@pytest.mark.slow
def test_a_save_in_the_middle_begins_again(tmp_path: Path) -> None:
    file = tmp_path / "dev_single.py"
    text = 'from gesso import hookimpl\napi = "1"\n\n\n@hookimpl\ndef gesso_filter_prompt(prompt):\n    return None\n'
    file.write_text(text, encoding="utf-8")
    running = Running(str(file), home=tmp_path / "home")
    try:
        running.until("checking")
        time.sleep(0.5)
        file.write_text(text + "\n", encoding="utf-8")
        running.until("saved meanwhile")
        assert any("it loads" in line for line in running.until("Waiting for the next save."))
    finally:
        running.end()


def test_what_is_watched(tmp_path: Path) -> None:
    for name in ("a.py", "b.txt", "sub/c.toml", ".hidden/d.py", "__pycache__/e.py", "dist/f.py", "x.egg-info/g.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    files = snapshot(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in files} == {"a.py", "sub/c.toml"}
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "new.py").touch()
    (tmp_path / "sub" / "c.toml").unlink()
    found = changes(files, snapshot(tmp_path))
    assert [path.name for path in found] == ["a.py", "new.py", "c.toml"]


def test_what_may_be_named(tmp_path: Path) -> None:
    new_plugin("dev-target", "params", tmp_path)
    root = tmp_path / "gesso-dev-target"
    package = root / "gesso_dev_target"
    assert find_target(root) == Target(root, "local:gesso_dev_target", root)
    assert find_target(package) == Target(package, "local:gesso_dev_target", root)
    assert find_target(package / "plugin.py") == Target(package / "plugin.py", "local:plugin", package)
    (root / "src").mkdir()
    package.rename(root / "src" / package.name)
    assert find_target(root) == Target(root, "local:gesso_dev_target", root / "src")
    (root / "src" / package.name / "plugin.py").rename(root / "src" / package.name / "main.py")
    with pytest.raises(InvalidInputError, match="pip install -e"):
        find_target(root)
    with pytest.raises(BadFileError, match=r"neither pyproject\.toml nor plugin\.py"):
        find_target(tmp_path)
    (root / "pyproject.toml").write_text("[project]\nname = 1")
    with pytest.raises(BadFileError, match="names no plugin"):
        find_target(root)


def test_differences_are_told_by_registry_and_name() -> None:
    before = {"samplers": {"a": "1", "b": "1"}, "tabs": {"t": "1"}}
    after = {"samplers": {"a": "2", "c": "1"}}
    assert differences(before, after) == ["~ samplers.a", "− samplers.b", "+ samplers.c", "− tabs.t"]
