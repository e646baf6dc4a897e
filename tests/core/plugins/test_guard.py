"""The host process stays free of torch, and the plugin that asks for it is named."""

from __future__ import annotations

import json

import pytest

FILTER = "@hookimpl\ndef gesso_filter_prompt(prompt):\n    import {module}\n    return 'changed'\n"
RUN = """
import json, sys
from gesso.plugins import Host
host = Host.load({arguments})
value = host.filter("gesso_filter_prompt", "a", request=None)
print(json.dumps([value, [[s.errors, s.error] for s in host.states], "torch" in sys.modules]))
"""


@pytest.mark.parametrize("module", ["torch", "diffusers", "transformers.models", "bitsandbytes"])
def test_a_late_import_is_that_plugins_error(site, module: str):
    site.plugin("late", FILTER.format(module=module))
    value, rows, torch = json.loads(site.run(RUN.format(arguments="")).stdout)
    assert (value, rows[0][0], torch) == ("a", 1, False)
    assert f"The plugin late:late imports {module.partition('.')[0]}" in rows[0][1]
    assert "worker" in rows[0][1]


def test_an_import_through_somebody_elses_module_is_attributed_too(site):
    site.add("helper", {"helper_package.py": "import torch\n"}, points={})
    site.plugin("late", FILTER.format(module="helper_package"))
    _, rows, _ = json.loads(site.run(RUN.format(arguments="")).stdout)
    assert "The plugin late:late imports torch" in rows[0][1]


def test_inline_work_may_import_it(site):
    site.add("standin", {"bitsandbytes.py": ""}, points={})
    site.plugin("late", FILTER.format(module="bitsandbytes"))
    assert json.loads(site.run(RUN.format(arguments="heavy_allowed=True")).stdout)[0] == "changed"
    assert json.loads(site.run(RUN.format(arguments="'both'")).stdout)[0] == "changed"


def test_asking_whether_torch_is_installed_is_no_import(site):
    code = "import importlib.util\nassert importlib.util.find_spec('torch') is not None\n"
    site.plugin("asks", code)
    assert site.load()["asks"]["state"] == "enabled"
    site.run("from gesso.plugins import Host\nhost = Host.load()\n" + code)


def test_the_guard_goes_with_the_host(site):
    site.add("standin", {"bitsandbytes.py": ""}, points={})
    site.run(
        "from gesso.plugins import Host\n"
        "host = Host.load()\n"
        "try:\n    import bitsandbytes\n    raise SystemExit('imported')\nexcept ImportError as error: print(error)\n"
        "host.close()\nimport bitsandbytes\n"
    )


@pytest.mark.parametrize("statement", ["import gesso.plugins", "from gesso.plugins import Host; Host.load().fill()"])
def test_the_plugin_host_imports_nothing_heavy(site, statement: str):
    site.plugin("one", "from gesso import Sampler, lazy, Params, param, Record, Command\n")
    heavy = "{'torch', 'diffusers', 'transformers', 'gradio', 'bitsandbytes', 'numpy'}"
    assert site.run(f"import sys; {statement}; print(sorted({heavy} & set(sys.modules)))").stdout == "[]\n"
