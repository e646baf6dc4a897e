"""The plugin is found, and it keeps what every plugin keeps."""

from __future__ import annotations

from gesso.testing import find_plugins
from gesso_smoke import AdapterContract, ParamsContract, PluginContract


def test_it_is_installed() -> None:
    assert [plugin.dist for plugin in find_plugins(["gesso-lora:lora"])] == ["gesso-lora"]


class TestPlugin(PluginContract, ParamsContract, AdapterContract):
    plugin = "gesso-lora:lora"
