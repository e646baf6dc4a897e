"""A stranger's sampler: its own distribution, built and installed as a wheel by pip, using public names only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "gesso-halfway"
version = "0.1"
dependencies = ["gesso"]
[project.entry-points.gesso]
halfway = "gesso_halfway.plugin"
""",
    "gesso_halfway/__init__.py": "",
    "gesso_halfway/plugin.py": '''
"""Euler with the slope taken half-way."""
from gesso import Params, Registrar, Sampler, SamplerFn, hookimpl, lazy, param

api = "1"


class Options(Params):
    where: float = param(0.5, gt=0, lt=1, infotext="Halfway where")


@hookimpl
def gesso_register_samplers(registry: Registrar[Sampler]) -> None:
    registry.add(Sampler(name="halfway", label="Halfway", run=lazy(".sampling:halfway", SamplerFn), options=Options))
''',
    "gesso_halfway/sampling.py": """
from gesso import Step


def halfway(denoise, x, sigmas, *, model, noise, on_step, options):
    values = sigmas.tolist()
    for i, (sigma, following) in enumerate(zip(values, values[1:])):
        x0 = denoise(x, sigma).x0
        slope = (x - x0) / sigma
        if following > 0:
            middle = sigma + options.where * (following - sigma)
            x0 = denoise(x + slope * (middle - sigma), middle).x0
            slope = (x + slope * (middle - sigma) - x0) / middle
        x = x + slope * (following - sigma)
        on_step(Step(i, len(values) - 1, sigma, following, x, x0))
    return x
""",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the wheel that pip built."""
    root = tmp_path_factory.mktemp("stranger")
    for name, text in PROJECT.items():
        (root / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "src" / name).write_text(text)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-deps", "--no-index"]
    wheel = [*pip, "wheel", *offline, "--no-build-isolation", "-w", str(root / "dist"), str(root / "src")]
    subprocess.run(wheel, check=True, timeout=300)
    built = next((root / "dist").glob("*.whl"))
    subprocess.run([*pip, "install", *offline, "--target", str(root / "site"), str(built)], check=True, timeout=300)
    return root / "site"


def gesso(site: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "GESSO_HOME": str(home)}
    command = [sys.executable, "-m", "gesso", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_it_appears_and_makes_a_picture(site: Path, checkpoint: Path, tmp_path: Path) -> None:
    listed = {s["name"]: s for s in json.loads(gesso(site, tmp_path, "samplers", "--json").stdout)}
    assert listed["halfway"]["plugin"] == "gesso-halfway:halfway"
    done = gesso(
        site, tmp_path, "generate", "a red circle", "-m", str(checkpoint), "--sampler", "halfway", "--steps", "2",
        "--set", "sampler.where=0.4", "-o", str(tmp_path / "a.png"), "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["job"]["versions"]["gesso-halfway"] == "0.1"
    assert "Sampler: Halfway" in made["artifacts"][0]["infotext"]
    assert "Halfway where: 0.4" in made["artifacts"][0]["infotext"]


def test_without_it_nothing_is_left(checkpoint: Path, tmp_path: Path) -> None:
    done = gesso(tmp_path / "nothing", tmp_path, "generate", "x", "-m", str(checkpoint), "--sampler", "halfway")
    assert done.returncode == 2
    assert "Unknown sampler 'halfway'" in done.stderr
