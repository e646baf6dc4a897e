"""`gesso doctor`: is this installation in order?"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.cli.app import guarded, load_service, print_json

if TYPE_CHECKING:
    from gesso.service import Service


def command(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """Check this installation."""
    guarded(_doctor, as_json, as_json)


def _doctor(as_json: bool) -> None:
    service = load_service()
    checks = {
        "python": _python,
        "home": _home,
        "disk": _disk,
        "packages": _packages,
        "plugins": _plugins,
        "models": _models,
    }
    results = [_result(name, partial(check, service)) for name, check in checks.items()]
    results += [_result(c.name, c.run.load()) for c in service.host.registry("checks")]
    if as_json:
        print_json({"ok": all(r["ok"] for r in results), "checks": results})
    else:
        for result in results:
            print(f"{'ok  ' if result['ok'] else 'FAIL'}  {result['check']:10} {result['found']}")
    if not all(r["ok"] for r in results):
        raise SystemExit(1)


def _result(name: str, check: Callable[[], tuple[bool, str]]) -> dict[str, Any]:
    try:
        ok, found = check()
    except Exception as error:
        ok, found = False, f"{type(error).__name__}: {error}"
    return {"check": name, "ok": ok, "found": found}


def _python(service: Service) -> tuple[bool, str]:
    return sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.platform()}"


def _home(service: Service) -> tuple[bool, str]:
    home = service.paths.home
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return False, f"{home} cannot be written to ({error.strerror}). Set GESSO_HOME to a folder of yours."
    return True, str(home)


def _disk(service: Service) -> tuple[bool, str]:
    free = shutil.disk_usage(service.paths.home).free
    return free > 1e9, f"{free / 1e9:.1f} GB free"


def _packages(service: Service) -> tuple[bool, str]:
    from importlib.metadata import PackageNotFoundError, version

    found, missing = [], []
    for name in ("torch", "diffusers", "transformers", "safetensors", "gradio", "pluggy", "pydantic"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    return not missing, ", ".join(found) + (f"; missing: {', '.join(missing)}" if missing else "")


def _plugins(service: Service) -> tuple[bool, str]:
    states = service.host.states
    bad = [f"{s.name} ({s.state}: {s.error})" for s in states if s.state not in ("enabled", "disabled")]
    return not bad, f"{sum(s.state == 'enabled' for s in states)} enabled" + (f"; {'; '.join(bad)}" if bad else "")


def _models(service: Service) -> tuple[bool, str]:
    entries = service.library.entries()
    usable = [e.name for e in entries if e.state == "ok"]
    refused, problems = len(entries) - len(usable), service.mounts.problems()
    told = f"{len(usable)} usable" + (f", {refused} refused (see `gesso models list`)" if refused else "")
    return bool(usable) and not problems, " ".join([told, *problems])
