"""Real wheels, built once, and throw-away environments in which `gesso plugins` changes what is installed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gesso.plugins.discovery import discover
from gesso.testing.overlay import Overlay, Source

HEAD = 'from gesso import hookimpl\napi = "1"\n'
LAZY = """from gesso import Registrar, Sampler, SamplerFn, hookimpl, lazy
api = "1"
@hookimpl
def gesso_register_samplers(registry: Registrar[Sampler]) -> None:
    registry.add(Sampler(name="nowhere", label="Nowhere", run=lazy(".nothing:run", SamplerFn)))
"""


def plugin(
    name: str, version: str = "1.0", code: str = HEAD, files: dict[str, str] | None = None, **fields: Any
) -> Source:
    package = name.replace("-", "_")
    all_files = {f"{package}/__init__.py": "", f"{package}/plugin.py": code, **(files or {})}
    return Source(name, all_files, version=version, **fields)


def library(name: str, version: str, files: dict[str, str] | None = None) -> Source:
    return Source(name, files or {f"{name}.py": f"version = {version!r}\n"}, points={}, version=version)


SOURCES = [
    plugin("gesso-a", requires=["gesso", "tinydep<2"]),
    plugin("gesso-b", requires=["gesso", "tinydep>=2"]),
    plugin("gesso-up", "1.0", files={"gesso_up/old.py": "", "gesso_up/same.py": "x = 1\n"}, requires=["tinydep"],
           more='[project.scripts]\ngesso-up = "gesso_up.same:x"\n'),
    plugin("gesso-up", "2.0", files={"gesso_up/new/part.py": "", "gesso_up/same.py": "x = 2\n"}, requires=["tinydep"]),
    plugin("gesso-flip", "1.0"),
    plugin("gesso-flip", "2.0", code="raise RuntimeError('worse than before')\n"),
    plugin("gesso-unbound", code=f"{HEAD}import tinydep\nassert tinydep.version == '1.0'\n", requires=["tinydep"]),
    plugin("gesso-says", code=f'{HEAD}capabilities = ("network", "subprocess")\n'),
    plugin("gesso-torn", code=LAZY),
    plugin("gesso-hides", files={"safetensors.py": ""}),
    plugin("gesso-thief", files={"gesso_a/plugin.py": "raise SystemExit\n"}),
    plugin("gesso-needs-up", requires=["gesso-up"]),
    plugin("gesso-lost", requires=["not-to-be-had>3"]),
    library("tinydep", "1.0"), library("tinydep", "2.0"), library("plainlib", "1.0"),
    # What the core has in newer versions. Without constraints pip would take them.
    *(library(name, version) for name, version in
      {"numpy": "1.26.0", "torch": "2.0.0", "transformers": "3.0.0", "gradio": "3.50.0"}.items()),
    plugin("gesso-numpy", requires=["numpy<2"]), plugin("gesso-torch", requires=["torch<2.1"]),
    plugin("gesso-transformers", requires=["deep"]), plugin("gesso-gradio", requires=["gradio<4"]),
    Source("deep", {"deep.py": ""}, points={}, requires=["transformers<4"]),
]  # fmt: skip


REFUSALS = """
import json, sys
from gesso.errors import GessoError
from gesso.paths import Paths
from gesso.plugins.installs.manage import Installer
said = {}
for target in sys.argv[1:]:
    try:
        said[target] = f"proposed: {Installer(Paths.of()).propose_install([target]).for_people()}"
    except GessoError as error:
        said[target] = str(error)
print(json.dumps(said))
"""


class Shop(Overlay):
    """An environment whose pip finds the wheels of `SOURCES` and nothing else."""

    wheels: Path

    def environment(self, **more: str) -> dict[str, str]:
        clean = {k: v for k, v in super().environment().items() if k == "PIP_NO_INPUT" or not k.startswith("PIP_")}
        own = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
        return {**clean, **own, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONSAFEPATH": "1", **more}

    def plugins(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`gesso plugins …`; a failure is an answer like any other."""
        return self.run("-m", "gesso", "plugins", *arguments, check=False, timeout=300, **options)

    def done(self, *arguments: str, **options: Any) -> dict[str, Any]:
        """A change that must succeed, and what it says of itself."""
        answer = self.plugins(*arguments, "--yes", "--json", **options)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return dict(json.loads(answer.stdout))

    def refusals(self, *targets: str) -> dict[str, str]:
        """Why each of these cannot be installed, from one process."""
        done = self.run("-c", REFUSALS, *targets, timeout=300)
        return dict(json.loads(done.stdout))

    def states(self) -> dict[str, dict[str, Any]]:
        """The plugins of this environment itself, by name: neither gesso's own nor those installed beside it."""
        answer = self.plugins("list", "--json")
        assert answer.returncode == 0, answer.stderr
        return self.own(answer.stdout)

    def own(self, listed: str) -> dict[str, dict[str, Any]]:
        """As `states`, of what `gesso plugins list --json` has printed."""
        beside = {entry.dist for entry in discover().entries}
        return {state["name"]: state for state in json.loads(listed) if state["dist"] not in beside}

    def freeze(self) -> list[str]:
        return self.run("-m", "pip", "freeze").stdout.splitlines()

    def versions(self) -> dict[str, str]:
        """What lies in this environment itself, by name."""
        found = (path.stem.split("-")[:2] for path in self.site.glob("*.dist-info"))
        return {name.replace("_", "-"): version for name, version in found}

    def files(self) -> dict[str, str]:
        """Every file of the environment but bytecode and gesso's own records, by its hash."""
        return contents(self.folder / "venv")

    @property
    def pending(self) -> Path:
        return self.folder / "venv" / "gesso-plugins" / "pending.json"

    def history(self) -> list[dict[str, Any]]:
        return list(json.loads(self.plugins("history", "--json").stdout))


def contents(prefix: Path) -> dict[str, str]:
    return {
        path.relative_to(prefix).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(prefix.rglob("*"))
        if path.is_file() and path.suffix != ".pyc" and "gesso-plugins" not in path.parts
    }


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of `SOURCES`, and a cache of what the probe says of gesso's own plugins."""
    shop = Overlay(tmp_path_factory.mktemp("wheelhouse"))
    shop.build(*SOURCES)
    shop.run("-m", "gesso", "plugins", "list")
    return shop.folder


@pytest.fixture
def shop(wheelhouse: Path, tmp_path: Path) -> Shop:
    """An empty environment; gesso's own plugins are probed already."""
    made = Shop(tmp_path)
    made.wheels = wheelhouse / "wheels"
    shutil.copy(wheelhouse / "home" / "plugins.cache.json", made.home)
    return made


@pytest.fixture
def wheel(wheelhouse: Path) -> Callable[..., Path]:
    """The wheel of a name and version."""
    return lambda name, version="1.0": wheelhouse / "wheels" / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
