"""What a plugin does at import without saying so: seen by the probe, shown as warnings, and prevented by nobody."""

from __future__ import annotations

from typing import Any

import pytest

DOES = {
    "network": "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9), 0.1)\nexcept OSError:\n    pass\n",
    "subprocess": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''], check=True)\n",
    "filesystem": "import pathlib\npathlib.Path({path!r}).write_text('x')\n",
}


@pytest.mark.parametrize("capability", DOES)
def test_undeclared_use_is_a_warning_and_declared_use_is_none(site: Any, tmp_path, capability: str):
    code = DOES[capability].format(path=str(tmp_path / "elsewhere"))
    site.plugin("says", f"capabilities = ({capability!r},)\n{code}")
    site.plugin("silent", code)
    states = site.load()
    assert states["says"]["capabilities"] == [capability]
    assert states["says"]["warnings"] == []
    assert states["silent"]["state"] == "enabled"
    (warning,) = states["silent"]["warnings"]
    assert f"uses {capability}" in warning
    assert states["silent"]["capabilities"] == []


def test_its_own_data_temporary_files_and_bytecode_need_no_word(site: Any):
    site.plugin(
        "tidy",
        "import os, pathlib, tempfile\nfrom . import part\n"
        "with tempfile.NamedTemporaryFile() as file:\n    file.write(b'x')\n"
        "home = pathlib.Path(os.environ['GESSO_HOME'])\nhome.mkdir(exist_ok=True)\n(home / 'mine').write_text('x')\n"
        "open(os.devnull, 'w').close()\n",
        extra=None,
    )
    (site.root / "tidy" / "part.py").write_text("")
    assert site.load()["tidy"]["warnings"] == []


@pytest.mark.parametrize("value", ['"network"', '("teleport",)', "3"])
def test_capabilities_that_are_none_fail_the_plugin(site: Any, value: str):
    site.plugin("odd", f"capabilities = {value}\n")
    state = site.load()["odd"]
    assert state["state"] == "failed"
    assert "capabilities" in state["error"]


def test_the_warning_is_in_the_list_for_people(site: Any):
    site.plugin("silent", DOES["network"])
    shown = site.run("", args=("-m", "gesso", "plugins", "list")).stdout
    assert "does not declare it" in " ".join(shown.split())
