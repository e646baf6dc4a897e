"""Real distributions in a throw-away site folder, and Python processes that see them."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gesso.plugins.discovery import discover
from gesso.plugins.host import Host, Process, Selection

HEAD = 'from gesso import hookimpl\napi = "1"\n'


class Site:
    """A folder of installed wheels. `run` starts Python with it on its path."""

    def __init__(self, root: Path, core: Path) -> None:
        self.root, self.core, self.home = root / "site", core, root / "home"
        self.root.mkdir()
        # Shadows gesso and the plugins installed here, so that they are neither probed nor loaded there.
        for dist in {entry.dist for entry in discover().entries}:
            self.add(dist, {}, points={})

    def add(
        self,
        dist: str,
        files: Mapping[str, str],
        *,
        points: Mapping[str, str] | None = None,
        version: str = "1.0",
        metadata: str | bytes | None = None,
        entry_points: str | None = None,
        extra: Mapping[str, str] | None = None,
        into: Path | None = None,
    ) -> Path:
        """Build a wheel by hand and install it as pip does: unpack it. Returns its dist-info folder.

        `points` defaults to one entry point named after the distribution, at `<dist>.plugin`.
        """
        package = dist.replace("-", "_")
        info = f"{package}-{version}.dist-info"
        points = {dist: f"{package}.plugin"} if points is None else points
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        content: dict[str, str | bytes] = {
            **files,
            f"{info}/METADATA": metadata or f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n\nText.\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": entry_points if entry_points is not None else f"[gesso]\n{lines}",
            **{f"{info}/{name}": text for name, text in (extra or {}).items()},
        }
        encoded = {name: text.encode() if isinstance(text, str) else text for name, text in content.items()}
        wheel = self.root.parent / f"{package}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, data in encoded.items():
                archive.writestr(name, data)
            archive.writestr(f"{info}/RECORD", "".join(f"{n},{_hash(d)},{len(d)}\n" for n, d in encoded.items()))
        target = into or self.root
        zipfile.ZipFile(wheel).extractall(target)
        return target / info

    def plugin(self, dist: str, code: str = "", *, head: str = HEAD, **kwargs: Any) -> Path:
        """A distribution with one plugin module: `head` (the import of hookimpl and the api) and `code`."""
        package = dist.replace("-", "_")
        return self.add(dist, {f"{package}/__init__.py": "", f"{package}/plugin.py": head + code}, **kwargs)

    def run(
        self,
        code: str,
        *,
        check: bool = True,
        timeout: float = 60,
        path: tuple[Path, ...] = (),
        args: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run Python code in a fresh process with this site and GESSO_HOME; its result is what it prints."""
        command = [sys.executable, *(args or ("-c", code))]
        places = [*path, self.root, self.core]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places)), "GESSO_HOME": str(self.home)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout, check=False, cwd=self.root.parent
        )
        assert not check or done.returncode == 0, done.stderr[-4000:]
        return done

    def load(self, then: str = "", *, probe: bool = True, timeout: float = 10, **options: str) -> Any:
        """Load a Host in a fresh process, run `then` (which may set `result`), and return {states…} or that result.

        `options` are Python expressions for Host.load; `timeout` is the probe's, per plugin.
        """
        arguments = "".join(f", {name}={value}" for name, value in options.items())
        code = f"""
import json, logging, sys
import gesso.plugins.verdicts as verdicts
verdicts.PROBE_SECONDS = {timeout}
from gesso.plugins import Host, Selection
host = Host.load(probe={probe}{arguments})
host.fill()
result = None
{then}
result = result if result is not None else {{s.name: s.model_dump(mode="json") for s in host.states}}
print(json.dumps(result))
host.close()
"""
        return json.loads(self.run(code).stdout)


def _hash(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="session")
def make_site(repository: Path) -> Callable[[Path], Site]:
    """An empty site folder and GESSO_HOME under a given folder."""
    return lambda folder: Site(folder, repository / "core")


@pytest.fixture
def site(tmp_path: Path, make_site: Callable[[Path], Site]) -> Site:
    """An empty site folder and GESSO_HOME."""
    return make_site(tmp_path)


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """`make_host({name: code}, process=…)`: a Host in this process with those local plugins and nothing else."""
    hosts: list[Host] = []

    def make(plugins: Mapping[str, str], process: Process = "worker", **options: Any) -> Host:
        # The modules stay in sys.modules, so their names must differ from test to test; order by name is kept.
        mark = next(_numbers)
        folder = tmp_path / f"plugins{mark}"
        folder.mkdir()
        for name, code in plugins.items():
            (folder / f"{name}_{mark}.py").write_text(HEAD + textwrap.dedent(code))
        names = tuple(f"{name}_{mark}" for name in plugins)
        selection = Selection(only=names, plugins_dir=folder)
        host = Host.load(process, home=tmp_path, selection=selection, probe=False, heavy_allowed=True, **options)
        bad = [state for state in host.states if state.dist == "local" and state.state != "enabled"]
        assert not bad, bad
        hosts.append(host)
        return host

    path = list(sys.path)
    yield make
    for host in hosts:
        host.close()
    sys.path[:] = path


_numbers = itertools.count()
