"""The suite over gesso's own plugins, as tox and CI run it: all green, but for the known gaps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gesso.testing import find_plugins
from gesso_smoke.report import read_report

BASELINE = "docs/smoke_report.json"


@pytest.mark.slow
def test_all_built_ins_pass(tmp_path: Path, gesso_home: Path, repository: Path) -> None:
    out, page = tmp_path / "smoke.json", tmp_path / "smoke.html"
    command = [sys.executable, "-P", "-m", "gesso", "--safe-mode", "smoke", "--all", "--out", str(out),
               "--html", str(page), "--last", str(repository / BASELINE)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    document = json.loads(out.read_text(encoding="utf-8"))
    tested = {plugin["plugin"] for plugin in document["plugins"]}
    assert tested >= {plugin.id for plugin in find_plugins() if plugin.built_in}
    assert document["counts"]["pass"] > 400
    assert "fail" not in document["counts"]
    assert "<table>" in page.read_text(encoding="utf-8")


def test_the_report_in_the_documentation_is_of_all_bundled_plugins_and_green(repository: Path) -> None:
    document = read_report(repository / BASELINE)
    missing = {plugin.id for plugin in find_plugins() if plugin.built_in} - {p["plugin"] for p in document["plugins"]}
    assert missing == set(), f"stale: gesso --safe-mode smoke --all --out {BASELINE} --html docs/smoke_report.html"
    assert "fail" not in document["counts"]
    assert document["time"] in (repository / "docs" / "smoke_report.html").read_text(encoding="utf-8")


def test_an_unknown_plugin_or_check_is_a_readable_error(gesso_home: Path) -> None:
    for arguments, said in ((["samplerz"], "Did you mean 'samplers'"), (["samplers", "--check", "prob"], "'probe'")):
        command = [sys.executable, "-P", "-m", "gesso", "smoke", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
