"""The short form of crash.py; the long one: `python tests/faults/crash.py --kills 200`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_random_kills_lose_nothing(gesso_home):
    command = [sys.executable, "-P", str(Path(__file__).with_name("crash.py")), "--kills", "12"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert report["wrong"] == []
    assert sum(report["kills"].values()) == 12
    assert report["runs"]["done"] > 0
