"""`gesso plugins dev`: after every save a fresh process loads the plugin, and says what changed and what fails.

Nothing is reloaded in place: Python cannot do that safely. Each round is a child process of its own, so the next save
always starts clean, whatever the last one did.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gesso.cli.plugins_validate import validate
from gesso.errors import BadFileError, GessoError, InvalidInputError
from gesso.plugins.discovery import GROUP, LOCAL, discover

POLL_S = 0.3
WATCHED = (".py", ".toml", ".json", ".js", ".css", ".md")
LEFT_OUT = ("__pycache__", "build", "dist", "node_modules", "site-packages")
Files = Mapping[Path, tuple[int, int]]


@dataclass(frozen=True)
class Target:
    """A plugin in the making: what is watched, its id, and the folder to load it from when it is not installed."""

    root: Path
    id: str
    plugins_dir: Path | None = None

    @property
    def options(self) -> list[str]:
        """Of the command `gesso`, so that it knows the plugin."""
        return [] if self.plugins_dir is None else ["--plugins-dir", str(self.plugins_dir)]


def find_target(path: Path) -> Target:
    """The plugin at `path`: a project's folder, a package with plugin.py, or a single file.

    BadFileError: there is none. InvalidInputError: it has to be installed before it can be loaded.
    """
    path = path.resolve()
    if path.is_file() and path.suffix == ".py":
        return Target(path, f"{LOCAL}:{path.stem}", path.parent)
    if (path / "plugin.py").is_file():
        return Target(path, f"{LOCAL}:{path.name}", path.parent)
    try:
        project = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        points = dict(project["entry-points"][GROUP])
        name, value = next(iter(points.items()))
    except FileNotFoundError:
        raise BadFileError(f"{path} holds neither pyproject.toml nor plugin.py.", hint="Name a plugin.") from None
    except (OSError, ValueError, LookupError, StopIteration, TypeError) as error:
        raise BadFileError(f"{path / 'pyproject.toml'} names no plugin: {type(error).__name__}: {error}.") from None
    dist = str(project.get("name", ""))
    if any(entry.id == f"{dist}:{name}" for entry in discover().entries):
        return Target(path, f"{dist}:{name}")
    package = str(value).partition(".")[0]
    for base in (path, path / "src"):
        if (base / package / "plugin.py").is_file():
            return Target(path, f"{LOCAL}:{package}", base)
    raise InvalidInputError(f"{value} is not found in {path}.", hint=f"Install it first: pip install -e {path}")


def snapshot(root: Path) -> Files:
    """Modification time and size of every watched file."""
    paths = [root] if root.is_file() else list(_files(root))
    found = {}
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue  # an editor is about to put another in its place
        found[path] = (status.st_mtime_ns, status.st_size)
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in LEFT_OUT or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.suffix in WATCHED:
            yield path


def changes(before: Files, after: Files) -> list[Path]:
    """Files that were saved, made or removed."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


@dataclass
class Dev:
    """The loop. `say` prints a line."""

    target: Target
    smoke: bool = True
    page: bool = False
    say: Callable[[str], None] = print
    _records: dict[str, dict[str, str]] = field(default_factory=dict)
    _server: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Try the plugin now and after each save, until Ctrl-C."""
        files = snapshot(self.target.root)
        self.say(f"Watching {self.target.root} ({self.target.id}). Ctrl-C ends it.")
        try:
            while True:
                if self._round(files) is not None:
                    self.say("Waiting for the next save.")
                files = self._wait(files)
        finally:
            self._stop_page()

    def _wait(self, files: Files) -> Files:
        """The files after the next save, once they are at rest: an editor empties a file before it writes it."""
        before, now = files, snapshot(self.target.root)
        while before != now or not changes(files, now):
            time.sleep(POLL_S)
            before, now = now, snapshot(self.target.root)
        changed = changes(files, now)
        names = ", ".join(str(path.relative_to(self.target.root.parent)) for path in changed[:5])
        self.say(f"\n{time.strftime('%H:%M:%S')}  saved: {names}{' …' if len(changed) > 5 else ''}")
        return now

    def _round(self, files: Files) -> bool | None:
        """Whether all is well; None when a save came in between and the round was given up."""
        well = self._source() and self._loads()
        if well and self.smoke:
            passed = self._checks(files)
            if passed is None:
                return None
            well = passed
        if well and self.page:
            self._restart_page()
        return well

    def _source(self) -> bool:
        try:
            problems = validate(self.target.root)
        except GessoError as error:
            self.say(f"  ✗ {error}")
            return False
        for problem in problems:
            self.say(f"  ✗ {problem}")
        return not problems

    def _loads(self) -> bool:
        """Import and register it in a child; tell what it brings that it did not bring before."""
        from gesso.testing import observe

        seen = observe(self.target.id, plugins_dir=self.target.plugins_dir)
        state = "" if seen.alone is None else seen.alone.states.get(self.target.id, "")
        if seen.alone is None or state != "enabled":
            self.say(f"  ✗ {seen.error or state}")
            trace = [line for line in seen.traceback.strip().splitlines() if line.strip()]
            for line in trace[-8:]:
                self.say(f"      {line}")
            return False
        records = seen.alone.of(self.target.id)
        for line in differences(self._records, records):
            self.say(f"  {line}")
        self._records = records
        self.say(f"  ✓ it loads: {seen.cpu_ms:.0f} ms, {seen.mb:.1f} MB")
        return True

    def _checks(self, files: Files) -> bool | None:
        """The quick checks of the smoke suite; None when a save made them stale."""
        self.say("  … checking")
        with tempfile.TemporaryDirectory(prefix="gesso-dev-", ignore_cleanup_errors=True) as folder:
            report = Path(folder, "report.json")
            command = [sys.executable, "-P", "-m", "gesso", *self.target.options, "smoke", self.target.id, "--quick",
                       "--out", str(report)]  # fmt: skip
            log = Path(folder, "log")
            with log.open("wb") as output:
                child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            try:
                while child.poll() is None:
                    if changes(files, snapshot(self.target.root)):
                        self.say("  … saved meanwhile: begun again")
                        return None
                    time.sleep(POLL_S)
                return self._told(report, log.read_text(encoding="utf-8", errors="replace"))
            finally:
                child.kill()  # its own children end with it
                child.wait()

    def _told(self, report: Path, said: str) -> bool:
        try:
            document: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.say(f"  ✗ the checks did not run: {said.strip()[-500:]}")
            return False
        checks = [check for plugin in document["plugins"] for check in plugin["checks"]]
        failed = [check for check in checks if check["outcome"] == "fail"]
        for check in failed:
            self.say(f"  ✗ {check['check']} {check['record']}: {check['message']}".replace(" :", ":"))
        passed = sum(check["outcome"] == "pass" for check in checks)
        self.say(f"  {'✗' if failed else '✓'} {passed} checks pass, {len(failed)} fail")
        return not failed

    def _restart_page(self) -> None:
        self._stop_page()
        command = [sys.executable, "-P", "-m", "gesso", *self.target.options, "ui", "--no-browser"]
        self._server = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def _stop_page(self) -> None:
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(15)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None


def differences(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> Sequence[str]:
    """What is registered now and was not, is no longer, or is another: "+ samplers.halfway"."""
    lines = []
    for registry in sorted({*before, *after}):
        old, new = before.get(registry, {}), after.get(registry, {})
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                lines.append(f"{'~' if name in old and name in new else '+' if name in new else '−'} {registry}.{name}")
    return lines
