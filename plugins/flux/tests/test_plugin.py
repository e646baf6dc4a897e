"""The plugin is found, and it keeps what every plugin keeps."""

from __future__ import annotations

import pytest

from gesso.testing import find_plugins
from gesso_smoke import FamilyContract, ParamsContract, PluginContract, StageContract
from tools import controls_table


def test_it_is_installed() -> None:
    assert [plugin.dist for plugin in find_plugins(["gesso-flux:flux"])] == ["gesso-flux"]


class TestPlugin(PluginContract, ParamsContract, StageContract, FamilyContract):
    plugin = "gesso-flux:flux"


def test_the_table_of_controls_is_what_the_records_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["controls_table.py", "flux", "--check"])
    assert controls_table.main() == 0, "stale: run python tools/controls_table.py flux"
