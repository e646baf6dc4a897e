"""The launcher with real environments: first start, later starts, interruptions, failures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and locks of POSIX")


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def wait_for_pip(project) -> None:
    """Until pip is inside the build that `hold` stops."""
    wait_for((project.venv / "gesso.unfinished").exists)
    wait_for(lambda: "editable" in (project.venv / "install.log").read_text())


def test_first_start_installs_and_later_ones_do_not(project, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    first = project.launch("generate", "a red circle", "--json", cwd=elsewhere)
    assert first.code == 0, first.err
    said = json.loads(first.out)  # one JSON document and nothing else
    assert said["arguments"] == ["generate", "a red circle", "--json"]
    assert said["cwd"] == str(elsewhere)
    assert str(elsewhere) not in said["path"]
    assert "" not in said["path"]
    assert said["installed"]["tinydep"] == "1"  # the constraint, not the newest
    assert "gesso-one" in said["installed"]
    assert "gesso-template" not in said["installed"]
    for phase in ("making .venv", "installing gesso and 1 bundled plugin,", "checking the plugins"):
        assert phase.rstrip(",") in first.err
    assert " after " in first.err

    second = project.launch("exit", "7")
    assert (second.code, second.out, second.err) == (7, "", "")
    assert project.builds() == 1

    # A complete environment needs no write access to the folder and no lock.
    (project.root / ".launch.lock").unlink()
    (project.root / ".launch.lock").mkdir()
    assert project.launch("exit", "0").code == 0


def test_tests_get_their_extra_once_and_run_in_the_root_folder(ready, tmp_path):
    first = ready.launch("test", "-k", "noise", cwd=tmp_path)
    assert first.code == 0, first.err
    assert json.loads(first.out) == {"arguments": ["-k", "noise"], "cwd": str(ready.root)}
    assert ready.launch("test").err == ""
    assert ready.launch().err == ""  # what the tests need holds what a run needs
    assert ready.builds() == 1


def test_a_run_then_tests_keeps_the_environment(ready):
    ready.launch()
    assert "pytest" not in json.loads(ready.launch().out)["installed"]
    assert ready.launch("test").code == 0
    assert ready.builds() == 2


def test_a_new_plugin_or_constraint_is_installed_over(ready):
    ready.launch()
    keepsake = ready.venv / "keepsake"
    keepsake.touch()
    ready.write_project("plugins/two", "gesso-two", [])
    assert "gesso-two" in json.loads(ready.launch().out)["installed"]
    (ready.root / "constraints.txt").write_text("tinydep==2\n")
    assert json.loads(ready.launch().out)["installed"]["tinydep"] == "2"
    assert keepsake.exists()


def test_a_moved_folder_is_installed_anew(ready):
    ready.launch()
    moved = ready.root.with_name("moved")
    shutil.move(ready.root, moved)
    ready.root, ready.venv = moved, moved / ".venv"
    result = ready.launch()
    assert "the folder was moved" in result.err
    path = json.loads(result.out)["path"]
    assert str(moved / "source") in path
    assert not [entry for entry in path if "a clone" in entry]


def test_reasons_to_install_anew(ready, launcher):
    paths, now = launcher.Paths(ready.root), {"python": "CPython 3.11 x86_64", "place": str(ready.root), "files": "1"}
    assert launcher.reason_to_rebuild(paths, now) == ""
    stamp = paths.stamp("test")
    stamp.write_text(json.dumps(now | {"files": "2"}))
    assert launcher.reason_to_rebuild(paths, now) == ""
    stamp.write_text(json.dumps(now | {"python": "CPython 3.10 x86_64"}))
    assert launcher.reason_to_rebuild(paths, now) == "Python changed from CPython 3.10 x86_64 to CPython 3.11 x86_64"
    stamp.write_text("[not a stamp")
    assert launcher.reason_to_rebuild(paths, now) == ""


def test_a_python_that_is_gone_is_replaced(ready):
    for path in (ready.venv / "bin").glob("python*"):
        path.unlink()
    (ready.venv / "bin" / "python").symlink_to("/nowhere/python3")
    result = ready.launch("exit", "0")
    assert result.code == 0, result.err
    assert "its Python is gone" in result.err


def test_reinstall(ready):
    ready.launch()
    (ready.venv / "keepsake").touch()
    result = ready.launch("--reinstall", "exit", "3")
    assert result.code == 3
    assert not (ready.venv / "keepsake").exists()


def test_a_killed_install_is_repaired(project):
    (project.root / "hold").touch()
    killed = project.start()
    wait_for_pip(project)
    killed.kill()  # pip lives on, and holds the lock
    killed.wait()
    again = project.start("exit", "5")
    time.sleep(1)
    (project.root / "hold").unlink()
    _, err = again.communicate(timeout=120)
    killed.communicate()
    assert "another launch is installing" in err
    assert "the last install was interrupted" in err
    assert again.returncode == 5
    assert json.loads(project.launch().out)["installed"]["tinydep"] == "1"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_install_ends_pip_and_is_repaired(ready, number, code):
    (ready.root / "hold").touch()
    child = ready.start()
    wait_for_pip(ready)
    os.killpg(child.pid, number) if number == signal.SIGINT else child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert child.returncode == code
    assert "Traceback" not in err
    (ready.root / "hold").unlink()
    again = ready.launch("exit", "0")
    assert "the last install was interrupted" in again.err
    assert again.code == 0


def test_two_starts_at_once_install_once(ready):
    (ready.root / "hold").touch()
    first = ready.start()
    wait_for_pip(ready)
    second = ready.start()
    time.sleep(1)
    (ready.root / "hold").unlink()
    (out1, _), (out2, err2) = first.communicate(timeout=120), second.communicate(timeout=120)
    assert json.loads(out1)["installed"] == json.loads(out2)["installed"]
    assert "another launch is installing here; waiting" in err2
    assert ready.builds() == 1


@pytest.mark.parametrize(
    ("environment", "hint"),
    [
        ({"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}, "cannot be reached"),
        (
            {
                "PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://index.invalid/simple",
                "PIP_TRUSTED_HOST": "index.invalid",
                "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "no_proxy": "", "NO_PROXY": "",
            },
            "check HTTPS_PROXY",
        ),
        ({}, "has no build for Python 3."),
    ],
    ids=["no network", "proxy", "no such version"],
)  # fmt: skip
def test_a_failed_install_says_what_to_do_and_can_be_continued(ready, environment, hint):
    ready.write_project(".", "gesso", ["tinydep", "not-to-be-had"])
    failed = ready.launch("generate", **environment)
    assert failed.code == 1
    assert failed.out == ""
    assert "Traceback" not in failed.err
    assert "the install failed (exit 1). The end of" in failed.err
    assert "not-to-be-had" in failed.err
    assert hint in failed.err.splitlines()[-1]

    ready.write_project(".", "gesso", ["tinydep"])
    mended = ready.launch("exit", "0")
    assert mended.code == 0
    assert "anew" not in mended.err


def test_failing_test_tools_leave_a_working_install(ready):
    ready.launch()
    assert ready.launch("test", PIP_FIND_LINKS="").code == 1
    assert ready.launch("exit", "4").code == 4
    assert ready.builds() == 2


def test_plugins_that_cannot_be_checked_do_not_stop_the_start(ready):
    (ready.root / "source" / "broken").touch()
    result = ready.launch("exit", "6")
    assert result.code == 6
    assert "the plugins could not be checked; see" in result.err


def test_another_index_for_torch_is_passed_on(ready):
    ready.launch(GESSO_TORCH_INDEX="http://127.0.0.1:9/cpu")
    assert "--extra-index-url http://127.0.0.1:9/cpu -e . -e plugins/one" in (ready.venv / "install.log").read_text()


def test_a_file_in_the_way(project):
    project.venv.write_text("mine")
    result = project.launch()
    assert result.code == 1
    assert ".venv" in result.err
    assert "Traceback" not in result.err
    assert project.venv.read_text() == "mine"


def test_a_folder_that_is_no_environment_is_not_deleted(project):
    project.venv.mkdir()
    (project.venv / "thesis.txt").write_text("mine")
    result = project.launch("--reinstall")
    assert result.code == 1
    assert "is not a Python environment; move it away" in result.err
    assert (project.venv / "thesis.txt").exists()


def test_an_incomplete_clone(project):
    (project.root / "constraints.txt").unlink()
    result = project.launch()
    assert result.code == 1
    assert "constraints.txt" in result.err
    assert "Traceback" not in result.err


def test_a_read_only_folder(project, tmp_path):
    """As a user without rights in the folder; root may write everywhere, so root becomes nobody for this."""
    python = "/usr/bin/python3"
    user = 65534 if os.geteuid() == 0 else None
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    project.root.chmod(0o555)
    asked = subprocess.run([python, "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"], user=user)
    if asked.returncode != 0:
        pytest.skip("no Python that another user may start")
    result = subprocess.run([python, project.root / "launch.py"], user=user, capture_output=True, text=True)
    project.root.chmod(0o755)
    assert result.returncode == 1
    assert result.stderr.startswith("gesso: ")
    assert "cannot be written to: copy the folder to where you may write" in result.stderr
    assert "Traceback" not in result.stderr


def test_progress_in_a_terminal_stays_on_one_line(project):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = project.environment | {"COLUMNS": "100"}
    child = subprocess.Popen(
        ["python3", str(project.root / "launch.py")], env=environment, stderr=theirs, stdout=subprocess.DEVNULL
    )
    os.close(theirs)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    assert child.wait() == 0
    os.close(ours)
    lines = shown.decode().replace("\r\n", "\n").split("\n")
    assert any("\rgesso: installing gesso" in line for line in lines)
    final = [line.rsplit("\r", 1)[-1] for line in lines if line]
    assert [line.split(":")[0] for line in final] == ["gesso"] * 3
    assert all("done after" in line for line in final)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # EIO: the other end is closed
        return b""


def test_nothing_is_left_behind_in_the_clone(ready, repository):
    before = {path.name for path in ready.root.iterdir()}
    ready.launch()
    new = {path.name for path in ready.root.iterdir()} - before
    assert new - {"builds.txt", "__pycache__"} == {".launch.lock"}
    ignored = (repository / ".gitignore").read_text().split()
    assert {".venv/", ".launch.lock"} <= set(ignored)


def test_the_real_project_has_what_the_launcher_reads(repository: Path, launcher):
    paths = launcher.Paths(repository)
    assert paths.projects()[0] == repository
    assert launcher.fingerprint(paths)["place"] == str(repository)
