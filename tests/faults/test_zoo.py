"""Whatever a plugin does wrong: the page boots, the others work, the picture is the same, the report names it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).with_name("zoo")))
from entries import ENTRIES, TEN

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run of the whole zoo: one environment, one pip install."""
    run, folder = Path(__file__).parent / "zoo" / "run.py", tmp_path_factory.mktemp("zoo")
    command = [sys.executable, str(run), "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=1500, check=False)
    assert done.stdout, done.returncode
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES])
def test_one_alone(result: dict[str, Any], name: str) -> None:
    finding = next(one for one in result["findings"] if one["name"] == name)
    assert finding["problems"] == []


@pytest.mark.parametrize("which", ["ten", "all"])
def test_many_at_once(result: dict[str, Any], which: str) -> None:
    finding = next(one for one in result["several"] if one["name"] == which)
    assert finding["problems"] == []


def test_there_are_ten() -> None:
    assert len(TEN) == 10


def test_the_page_of_the_documentation_says_the_same(result: dict[str, Any], repository: Path) -> None:
    sys.path.insert(0, str(repository / "tools"))
    from fault_zoo import page

    said = (repository / "docs" / "fault_zoo.md").read_text(encoding="utf-8")
    assert _without_numbers(said) == _without_numbers(page(result)), "Make it anew: python tools/fault_zoo.py"


def _without_numbers(text: str) -> str:
    """Seconds, line numbers and counts of built-ins differ from run to run and from month to month."""
    return re.sub(r"\d+", "N", text)
