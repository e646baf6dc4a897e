"""pip as a child process: resolve, build, unpack into a folder. It never changes the environment itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from packaging.utils import canonicalize_name

from gesso.plugins.installs.environment import Dist
from gesso.plugins.installs.errors import InstallError

SHOWN = ("Downloading ", "Building ", "Cloning ")
"""What of pip's output tells a person what takes so long."""
Told = Callable[[str], None]


class PipError(Exception):
    """pip failed; the text is all it said. `explain` makes one sentence of it."""


@dataclass(frozen=True)
class Item:
    """One file pip would install."""

    dist: Dist
    url: str
    sha256: str
    direct: bool
    """It was named by its address, not found by its name."""

    @property
    def line(self) -> str:
        """The line of a lock that stands for exactly this file."""
        name = f"{self.dist.name} @ {self.url}" if self.direct else f"{self.dist.name}=={self.dist.version}"
        return f"{name} --hash=sha256:{self.sha256}"


def resolve(
    targets: Sequence[str], constraints: Sequence[str], options: Sequence[str] = (), told: Told = lambda line: None
) -> list[Item]:
    """What pip would install for `targets`, by its own dry run. PipError when there is no answer.

    `constraints` are lines such as "torch==2.13.0" or "numpy<3"; nothing is built unless `options` allow it.
    """
    with tempfile.TemporaryDirectory(prefix="gesso-pip-") as folder:
        held, report = Path(folder, "constraints.txt"), Path(folder, "report.json")
        held.write_text("".join(f"{line}\n" for line in constraints), encoding="utf-8")
        command = ["install", "--dry-run", "--report", str(report), "-c", str(held), *options, *targets]
        _run(command, told)
        return [_item(entry) for entry in json.loads(report.read_bytes())["install"]]


def build(target: str, folder: Path, told: Told = lambda line: None) -> Path:
    """The wheel of a project's folder, a source archive or a repository. Runs the project's own build code."""
    options = ["--no-build-isolation"] if _can_build_here(target) else []
    _run(["wheel", "--no-deps", *options, "-w", str(folder), target], told)
    return max(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime_ns)


def unpack(items: Iterable[Item], stage: Path, options: Sequence[str] = (), told: Told = lambda line: None) -> None:
    """Install exactly these files below `stage` instead of the environment. A file of another hash is refused."""
    stage.mkdir(parents=True, exist_ok=True)
    lock = stage / "lock.txt"
    lock.write_text("".join(f"{item.line}\n" for item in items), encoding="utf-8")
    command = ["install", "--no-deps", "--ignore-installed", "--no-compile", "--no-warn-script-location"]
    _run([*command, "--require-hashes", "--prefix", str(stage), *options, "-r", str(lock)], told)


def _run(arguments: Sequence[str], told: Told) -> None:
    if find_spec("pip") is None:
        raise InstallError("pip is not installed in this environment.", hint=f"{sys.executable} -m ensurepip")
    with tempfile.TemporaryDirectory(prefix="gesso-pip-") as folder:
        log = Path(folder, "pip.log")
        code, text = _output([arguments[0], "--log", str(log), *arguments[1:]], told)
        if code:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
            # That an index cannot be reached stands in pip's log alone when it does not try again.
            text += "".join(f"\n{line}" for line in lines if "Could not fetch URL" in line)
            raise PipError(text or f"pip ended with {code} and said nothing.")


def _output(arguments: Sequence[str], told: Told) -> tuple[int, str]:
    """pip's exit status and all it says."""
    command = [sys.executable, "-P", "-m", "pip", arguments[0], "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", *arguments[1:]]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:replace", "PIP_NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
        encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.strip().startswith(SHOWN):
                told(line.strip())
    return process.returncode, "".join(lines)


def _item(entry: dict[str, object]) -> Item:
    info, metadata = entry["download_info"], entry["metadata"]
    assert isinstance(info, dict)
    assert isinstance(metadata, dict)
    name, version = canonicalize_name(metadata["name"]), metadata["version"]
    archive = info.get("archive_info") or {}
    sha256 = (archive.get("hashes") or {}).get("sha256") or archive.get("hash", "").removeprefix("sha256=")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise InstallError(f"pip does not tell the hash of {name} {version} ({info['url']}), so it is not installed.")
    dist = Dist(name, version, tuple(metadata.get("requires_dist", ())), requested=bool(entry["requested"]))
    return Item(dist, info["url"], sha256, bool(entry["is_direct"]))


def _can_build_here(target: str) -> bool:
    """Whether what a project's build needs is installed: then it is built without a network."""
    import tomllib

    from packaging.requirements import Requirement

    from gesso.plugins.installs.environment import installed

    try:
        project = tomllib.loads(Path(target, "pyproject.toml").read_text(encoding="utf-8"))
        needs = [Requirement(line) for line in project["build-system"]["requires"]]
        found = installed()
        return bool(needs) and all(
            need.specifier.contains(found[canonicalize_name(need.name)].version, prereleases=True) for need in needs
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
