"""A new plugin's trial: probed and smoked in processes of their own, with the environment as it is now."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any

from gesso.paths import Paths
from gesso.plugins.installs.errors import InstallError
from gesso.plugins.installs.journal import TRIAL

SHORT = (
    "probe", "light_imports", "import_time", "no_leftovers", "registers", "no_clashes", "leaves_host", "lazy_resolves",
    "lazy_signatures", "params_defaults", "params_json",
)  # fmt: skip
"""The smoke suite's checks that take seconds: whether it loads, fits in and leaves the rest alone."""
SECONDS = 900.0


def try_out(
    paths: Paths, new: Sequence[str], others: Collection[str], *, smoke: bool, told: Callable[[str], None]
) -> str:
    """Why the plugins `new` are not to be kept, "" for a good trial. `others` worked before and must go on to."""
    told(f"Probing {', '.join([*new, *others])}")
    for row in _gesso(paths, "plugins", "probe", *new, *others, "--json"):
        id_ = f"{row['dist']}:{row['name']}"
        if row["state"] != "enabled":
            also = "" if id_ in new else "; it worked before"
            return f"{id_} cannot be used ({row['state']}{also}): {row['error']}"
    if not smoke:
        return ""
    told(f"Smoke test of {', '.join(new)}")
    checks = [part for check in SHORT for part in ("--check", check)]
    document = _gesso(paths, "smoke", *new, *checks, "--json")
    for plugin in document["plugins"]:
        for check in plugin["checks"]:
            if check["outcome"] == "fail":
                where = f" ({check['record']})" if check["record"] else ""
                return f"{plugin['plugin']} fails the smoke check {check['check']}{where}: {check['message']}"
    return ""


def probe(paths: Paths, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Probe plugins afresh, so that the next start need not. One row each."""
    return _gesso(paths, "plugins", "probe", *ids, "--json") if ids else []


def _gesso(paths: Paths, *arguments: str) -> Any:
    """What a gesso command prints as JSON; it must see the environment as it is, in the midst of a change."""
    environment = {**os.environ, TRIAL: str(os.getpid()), "GESSO_HOME": str(paths.home)}
    command = [sys.executable, "-P", "-m", "gesso", *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise InstallError(f"gesso {' '.join(arguments[:2])} did not come to an end in {SECONDS:g} s.") from None
    try:
        return json.loads(done.stdout)
    except ValueError:
        said = done.stderr.decode(errors="replace").strip()[-2000:]
        raise InstallError(f"gesso {' '.join(arguments[:2])} failed: {said or done.returncode}") from None
