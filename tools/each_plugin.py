"""Try the bundled plugins: each alone beside gesso with its own tests, or all of them together.

    python tools/each_plugin.py alone [NAME ...]      install one, see it enabled, run plugins/NAME/tests; then the next
    python tools/each_plugin.py together [NAME ...]   install all into one environment; every plugin must be enabled
    --smoke                                           and `gesso smoke` must pass: on that one, or on all there are
    --report FOLDER                                   write smoke.json and smoke.html there (together)

A plugin's environment is laid over the one that runs this script: it sees gesso and what gesso needs, and adds only
what the plugin itself declares. So a dependency that a plugin forgot is missed here, even if another plugin has it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASELINE = ROOT / "docs" / "smoke_report.json"
"""The report new failures are told from."""


def plugin_folders(names: list[str]) -> list[Path]:
    """The folders of the plugins named, or of all; `plugins/_template` and its like are no plugins."""
    found = {path.parent.name: path.parent for path in sorted((ROOT / "plugins").glob("[!_.]*/pyproject.toml"))}
    unknown = sorted(set(names) - set(found))
    if unknown:
        raise SystemExit(f"no such plugin: {', '.join(unknown)}; there are: {', '.join(found) or 'none'}")
    return [found[name] for name in names or found]


def layered_environment(folder: Path) -> Path:
    """A new environment whose imports fall through to the present one; returns its Python."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    command = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    below = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    # addsitedir, not bare paths: an editable install below is itself a .pth file
    lines = [f"import site; site.addsitedir({folder!r})\n" for folder in below]
    (packages / "_below.pth").write_text("".join(lines), encoding="utf-8")
    return python


def install(python: Path, plugins: list[Path]) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-input"]
    command += ["-c", str(ROOT / "constraints.txt"), *map(str, plugins)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def distributions(plugins: list[Path]) -> set[str]:
    """The installed names of the plugins: `gesso-` and the folder's name."""
    return {"gesso-" + folder.name.replace("_", "-") for folder in plugins}


def all_enabled(python: Path, expected: set[str], home: str) -> bool:
    """Whether every installed plugin loads, and the expected distributions are among them."""
    command = [str(python), "-P", "-m", "gesso", "plugins", "list", "--json"]
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env={**os.environ, "GESSO_HOME": home}
    )
    if result.returncode != 0:
        print(f"gesso plugins list failed (exit {result.returncode})", file=sys.stderr)
        return False
    states = json.loads(result.stdout)
    broken = [state for state in states if state["state"] != "enabled"]
    for state in broken:
        print(f"{state['name']}: {state['state']}: {state['error']}", file=sys.stderr)
    missing = expected - {state["dist"] for state in states}
    for name in sorted(missing):
        print(f"{name}: installed, but not listed", file=sys.stderr)
    print(f"{len(states) - len(broken)} of {len(states)} plugins enabled", file=sys.stderr)
    return bool(states) and not broken and not missing


def smoke(python: Path, home: str, names: list[str], report: Path | None = None) -> bool:
    """Whether the plugins named pass the smoke suite; all that are installed, gesso's own too, without a name."""
    command = [str(python), "-P", "-m", "gesso", "smoke", *(names or ["--all", "--last", str(BASELINE)])]
    if report is not None:
        command += ["--out", str(report / "smoke.json"), "--html", str(report / "smoke.html")]
    return subprocess.run(command, stdin=subprocess.DEVNULL, env={**os.environ, "GESSO_HOME": home}).returncode == 0


def try_together(plugins: list[Path], *, smoked: bool, report: Path | None) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        python = layered_environment(Path(folder, "env"))
        if plugins:
            install(python, plugins)
        home = str(Path(folder, "home"))
        enabled = all_enabled(python, distributions(plugins), home)
        return enabled and (not smoked or smoke(python, home, [], report))


def try_alone(plugin: Path, *, smoked: bool) -> bool:
    print(f"== {plugin.name}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        python = layered_environment(Path(folder, "env"))
        install(python, [plugin])
        home = str(Path(folder, "home"))
        if not all_enabled(python, distributions([plugin]), home):
            return False
        if smoked and not smoke(python, home, sorted(distributions([plugin]))):
            return False
        tests = subprocess.run([str(python), "-P", "-m", "pytest", "-q", str(plugin / "tests")], cwd=ROOT)
        return tests.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["alone", "together"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="folders under plugins/ (default: all)")
    parser.add_argument("--smoke", action="store_true", help="run the smoke suite as well")
    parser.add_argument("--report", type=Path, help="the folder for smoke.json and smoke.html (together)")
    arguments = parser.parse_args()
    plugins = plugin_folders(arguments.names)
    if arguments.mode == "together":
        return 0 if try_together(plugins, smoked=arguments.smoke, report=arguments.report) else 1
    failed = [plugin.name for plugin in plugins if not try_alone(plugin, smoked=arguments.smoke)]
    print(f"{len(plugins) - len(failed)} of {len(plugins)} plugins pass alone", file=sys.stderr)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
