"""Killed at any point, the next start is whole: the old state or the new one, never something between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gesso.plugins.installs.journal import TRIAL

# Runs in the environment: proposes a change with real pip, then makes it again and again in a child that is killed
# before its n-th step (a file put, renamed, removed; a folder made), and settles after each as the next start does;
# the first such start is killed, too.
STEPS = """
import json, os, signal, sys
from pathlib import Path
from gesso.paths import Paths
from gesso.plugins.installs.journal import Journal, settle
from gesso.plugins.installs.manage import Installer
sys.path.insert(0, sys.argv[1])
from conftest import contents

EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.copyfile")
installer, prefix = Installer(Paths.of()), Path(sys.prefix)
PROPOSE = {
    "update": lambda: installer.propose_update(["up"]),
    "uninstall": lambda: installer.propose_uninstall(["up"], orphaned=True),
    "rollback": lambda: installer.propose_rollback(),
}

def forked(work):
    pid = os.fork()
    if not pid:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def killed_before(last, work):
    count = 0
    def step(name, args):
        nonlocal count
        if name in EVENTS:
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)
    def watched():
        sys.addaudithook(step)
        work()
    return forked(watched)

proposal, old = PROPOSE[sys.argv[2]](), contents(prefix)
seen, n, phases = [], 0, set()
while True:
    n += int(sys.argv[3]) if n else 1
    code = killed_before(n, lambda: installer.apply(proposal, smoke=False))
    pending = Journal().pending
    if pending.exists():
        phases.add(json.loads(pending.read_text())["phase"])
        killed_before(1 + n % 11, settle)  # the start that would mend it may be killed as well
        assert forked(settle) == 0
    now = contents(prefix)
    assert not pending.exists(), n
    seen.append("old" if now == old else "other")
    if code == 0 or seen[-1] == "other":
        break
    assert code == -signal.SIGKILL, code
proposal = None
print(json.dumps({"steps": n, "code": code, "seen": seen, "phases": sorted(phases), "versions": sorted(
    path.stem for path in prefix.glob("lib/*/site-packages/*.dist-info"))}))
"""


def step_by_step(shop: Any, what: str, every: int) -> dict[str, Any]:
    done = shop.run("-c", STEPS, str(Path(__file__).parent), what, str(every), check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("what", "every", "result"),
    [
        ("update", 4, ["gesso_up-2.0", "tinydep-1.0"]),
        ("uninstall", 4, ["tinydep-1.0"]),
        ("rollback", 1, ["gesso_up-1.0", "tinydep-1.0"]),
    ],
)
def test_before_every_step(shop: Any, what: str, every: int, result: list[str]):
    shop.run("-m", "pip", "install", "-q", "--no-compile", "tinydep==1.0", "gesso-up==1.0")
    if what == "rollback":
        shop.done("update", "up", "--no-smoke")
    told = step_by_step(shop, what, every)
    assert told["versions"] == result, told
    assert set(told["seen"][:-1]) == {"old"}
    assert told["steps"] > (20 if what == "rollback" else 10), told
    assert "exchange" in told["phases"]
    assert not shop.pending.exists()
    before = shop.files()
    assert shop.plugins("list").returncode == 0
    assert shop.files() == before


def started(shop: Any, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(shop.python), "-m", "gesso", "plugins", *arguments, "--yes"], env=shop.environment(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def until(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.01)


def phase(shop: Any) -> str:
    try:
        return str(json.loads(shop.pending.read_text())["phase"])
    except (OSError, ValueError):
        return ""


def said(process: subprocess.Popen[str], word: str) -> Callable[[], bool]:
    assert process.stderr is not None
    return lambda: word in (process.stderr.readline() if process.stderr else "")


@pytest.mark.parametrize("when", ["Fetching", "Probing"])
def test_the_whole_command_killed_in_its_phases(shop: Any, when: str):
    """The whole group: pip and the probe die with it."""
    shop.run("-m", "pip", "install", "-q", "--no-compile", "tinydep==1.0", "gesso-up==1.0")
    before = shop.files()
    process = started(shop, "update", "up", "--no-smoke")
    until(process, said(process, when))
    if when == "Probing":
        assert phase(shop) == "trial"
        assert shop.files() != before
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    if when == "Probing":  # the probe and the smoke suite run in the midst of a change and must see it
        assert "2.0" in shop.plugins("show", "up", env={TRIAL: "1"}).stdout
    listed = shop.plugins("list", "--json")
    assert shop.files() == before
    assert not shop.pending.exists()
    assert {name: state["version"] for name, state in shop.own(listed.stdout).items()} == {"up": "1.0"}
    if when == "Probing":
        assert "'update up' was cut short and has been undone" in listed.stderr
        assert [(c["phase"], c["reason"]) for c in shop.history()] == [("undone", "It was cut short.")]


def test_a_change_that_is_under_way_is_left_alone(shop: Any):
    """On trial the environment is whole; a second start sees the new state and does not undo it."""
    shop.run("-m", "pip", "install", "-q", "--no-compile", "tinydep==1.0", "gesso-up==1.0")
    process = started(shop, "update", "up", "--no-smoke")
    until(process, lambda: phase(shop) == "trial")
    states = shop.states()
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert states["up"]["version"] == "2.0"
    assert shop.states()["up"]["version"] == "2.0"
