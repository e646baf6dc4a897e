"""tools/each_plugin.py with a plugin that pip really builds and installs; its backend lies beside it, so no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import each_plugin

pytestmark = pytest.mark.slow

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import zipfile
from pathlib import Path

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    info = "gesso_tiny-1.dist-info"
    with zipfile.ZipFile(Path(wheel_directory, "gesso_tiny-1-py3-none-any.whl"), "w") as archive:
        archive.writestr("gesso_tiny.py", Path("gesso_tiny.py").read_text())
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: gesso-tiny\\nVersion: 1\\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{info}/entry_points.txt", "[gesso]\\ntiny = gesso_tiny\\n")
        archive.writestr(f"{info}/RECORD", "")
    return "gesso_tiny-1-py3-none-any.whl"
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path) -> Path:
    """The folder of a plugin `tiny` in a repository of its own."""
    folder = tmp_path / "plugins" / "tiny"
    (folder / "tests").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "gesso_tiny.py").write_text('api = "1"\n')
    (folder / "tests" / "test_tiny.py").write_text("import gesso_tiny\n\ndef test_it():\n    assert gesso_tiny.api\n")
    (tmp_path / "plugins" / "_template").mkdir()
    (tmp_path / "plugins" / "_template" / "pyproject.toml").touch()
    (tmp_path / "constraints.txt").write_text((repository / "constraints.txt").read_text())
    monkeypatch.setattr(each_plugin, "ROOT", tmp_path)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["each_plugin.py", *arguments])
    return each_plugin.main()


def test_a_good_plugin_passes_alone_and_together(tiny: Path, monkeypatch, capfd):
    assert run(monkeypatch, "alone") == 0
    said = capfd.readouterr()
    assert "== tiny" in said.err
    assert "1 passed" in said.out
    assert "1 of 1 plugins pass alone" in said.err
    assert run(monkeypatch, "together") == 0


def test_a_plugin_that_does_not_load_is_named(tiny: Path, monkeypatch, capfd):
    (tiny / "gesso_tiny.py").write_text('api = "1"\nimport a_package_nobody_declared\n')
    assert run(monkeypatch, "together") == 1
    assert "tiny: missing-deps: " in capfd.readouterr().err
    assert run(monkeypatch, "alone", "tiny") == 1
    assert "failed: tiny" in capfd.readouterr().err


def test_failing_tests_fail(tiny: Path, monkeypatch, capfd):
    (tiny / "tests" / "test_tiny.py").write_text("def test_it():\n    assert False\n")
    assert run(monkeypatch, "alone") == 1


def test_an_unknown_name_lists_the_known(tiny: Path, monkeypatch):
    with pytest.raises(SystemExit, match="no such plugin: flux; there are: tiny"):
        run(monkeypatch, "alone", "flux")


def test_a_layer_sees_what_lies_below_and_keeps_its_own(tmp_path: Path):
    python = each_plugin.layered_environment(tmp_path / "env")
    code = "import sys, sysconfig, gesso, pydantic; print(sys.prefix, sysconfig.get_path('purelib'), sep='\\n')"
    result = subprocess.run([python, "-P", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    prefix, packages = result.stdout.splitlines()
    assert Path(prefix) == tmp_path / "env"
    assert Path(packages).is_relative_to(tmp_path / "env")
