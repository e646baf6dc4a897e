"""The test kit itself: what it sees of a plugin, and that it sees nothing where there is nothing."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gesso.testing import (
    PatchWatch,
    arrangements,
    contents,
    infotext_round_trip,
    load_host,
    local_plugins,
    observe,
    unregister,
)

HEAD = 'from gesso import hookimpl\napi = "1"\n'
SAMPLER = (
    "from gesso import Sampler, SamplerFn, lazy\n@hookimpl\ndef gesso_register_samplers(registry):\n"
    "    registry.add(Sampler(name='kit_{0}', run=lazy('kit_{0}:run', SamplerFn)))\n"
)


def local(folder: Path, name: str, text: str) -> Path:
    (folder / f"{name}.py").write_text(HEAD + text)
    return folder


def test_a_quiet_plugin_is_seen_to_do_nothing(tmp_path: Path) -> None:
    seen = observe("kit_quiet", plugins_dir=local(tmp_path, "kit_quiet", ""))
    assert (seen.state, seen.error) == ("enabled", "")
    assert seen.network == seen.processes == seen.files == seen.leftovers == ()
    assert seen.alone is not None
    assert seen.alone.states["local:kit_quiet"] == "enabled"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os._exit(3)", "exit status 3"),
        ("import ctypes; ctypes.string_at(0)", "signal 11"),
        ("raise SystemExit(0)", "SystemExit"),
        ("import torch", "imports torch"),
    ],
)
def test_one_that_fails_is_told_as_a_failure(code: str, said: str, tmp_path: Path) -> None:
    seen = observe("kit_failing", plugins_dir=local(tmp_path, "kit_failing", code))
    assert seen.state == "failed"
    assert said in seen.error


def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    folder = local(tmp_path, "kit_hanging", "import time; time.sleep(600)")
    seen = observe("kit_hanging", plugins_dir=folder, timeout=5.0)
    assert "had not come to an end after 5 s" in seen.error


def test_a_plugin_that_ends_the_process_ends_all_together(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="All plugins together"):
        arrangements(plugins_dir=local(tmp_path, "kit_ending", "import os; os._exit(3)"))


def test_a_host_from_texts_and_what_unregistering_leaves() -> None:
    with load_host(["builtin"]) as host:
        before = contents(host)
    with local_plugins({"kit_one": HEAD + SAMPLER.format("one")}) as host:
        with_it = contents(host)
        assert "kit_one" in with_it.of("local:kit_one")["samplers"]
        assert "samplers: kit_one" in before.differences(with_it)
        unregister(host, "local:kit_one")
        assert before.differences(contents(host), states=False) == []


def test_a_replaced_method_is_noticed_however_it_is_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    watch, original = PatchWatch(("PIL.Image",)), Image.Image.resize
    assert watch.changed() == []

    @functools.wraps(original)
    def resize(*args: object, **options: object) -> object:
        return original(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", resize)
    assert watch.changed() == ["PIL.Image.Image.resize"]


def test_what_torch_replaces_in_itself_is_not_blamed_on_anybody() -> None:
    code = (
        "import json\nfrom gesso.testing import PatchWatch\nwatch = PatchWatch()\nimport torch._dynamo\n"
        "print(json.dumps(watch.changed()))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert json.loads(done.stdout) == []


def test_infotext_comes_back() -> None:
    assert infotext_round_trip({"Frame width": 9, "Frame text": 'a, "b": c'}) == {
        "Frame width": "9", "Frame text": 'a, "b": c',
    }  # fmt: skip
    assert infotext_round_trip({}) == {}


def test_the_fixtures_are_there(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["gesso.testing.fixtures"]\n')
    (tmp_path / "test_mine.py").write_text(
        "def test_it(make_host, make_local_host, gesso_home):\n"
        "    assert 'euler' in make_host().registry('samplers')\n"
        f"    host = make_local_host({{'kit_two': {HEAD + SAMPLER.format('two')!r}}})\n"
        "    assert 'kit_two' in host.registry('samplers')\n"
        "    assert list(gesso_home.iterdir()) == []\n"
    )
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
