"""The plugin is found, and it keeps what every plugin keeps."""

from __future__ import annotations

from gesso.testing import find_plugins
from gesso_smoke import ParamsContract, PluginContract, StageContract


def test_it_is_installed() -> None:
    assert [plugin.dist for plugin in find_plugins(["gesso-hires:hires"])] == ["gesso-hires"]


class TestPlugin(PluginContract, ParamsContract, StageContract):
    plugin = "gesso-hires:hires"
