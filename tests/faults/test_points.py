"""The short form of points.py; the long one: `python tests/faults/points.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_a_kill_at_any_step_loses_nothing():
    command = [sys.executable, "-P", str(Path(__file__).with_name("points.py")), "--every", "6"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert report["wrong"] == []
    assert report["tried"] > 20
    assert 0 in report["tables_found"], "no kill came before the first migration was through"
