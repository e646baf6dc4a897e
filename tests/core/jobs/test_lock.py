"""One host per data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gesso.jobs.lock import AnotherHostError, HostLock
from gesso.store import StorageError

HOST = """
import sys, time
from pathlib import Path
from gesso.jobs.lock import HostLock
lock = HostLock(Path(sys.argv[1])).acquire()
lock.tell("http://127.0.0.1:7860", "secret")
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def other(tmp_path: Path):
    """Another process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-P", "-c", HOST, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_host_is_told_about_the_first(tmp_path, other):
    with pytest.raises(AnotherHostError, match=r"process \d+ on .* open http://127.0.0.1:7860") as caught:
        HostLock(tmp_path).acquire(timeout=0.1)
    assert caught.value.info.pid == other.pid
    info = HostLock.holder(tmp_path)
    assert (info.pid, info.url, info.token) == (other.pid, "http://127.0.0.1:7860", "secret")


def test_a_killed_host_holds_nothing(tmp_path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert HostLock.holder(tmp_path) is None
    with HostLock(tmp_path).acquire(timeout=10):
        assert HostLock.holder(tmp_path).pid == os.getpid()


def test_a_child_of_a_killed_host_does_not_keep_the_lock(tmp_path):
    """The worker may live a moment longer than its host."""
    code = HOST.replace("time.sleep", "import subprocess; subprocess.run(['sleep', '600']); time.sleep")
    process = subprocess.Popen([sys.executable, "-P", "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    import psutil

    children = []
    while not children:
        children = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    try:
        HostLock(tmp_path).acquire(timeout=10).release()
    finally:
        children[0].kill()
        process.communicate()


def test_nobody_holds_a_folder_nobody_opened(tmp_path):
    assert HostLock.holder(tmp_path / "nowhere") is None
    lock = HostLock(tmp_path).acquire()
    lock.release()
    assert HostLock.holder(tmp_path) is None
    assert not (tmp_path / "host.json").exists()
    lock.acquire().release()


def test_the_secret_is_for_this_user_alone(tmp_path):
    with HostLock(tmp_path).acquire() as lock:
        lock.tell("http://127.0.0.1:1", "secret")
        assert (tmp_path / "host.json").stat().st_mode & 0o077 == 0


def test_workers_of_one_folder_share_a_prefix(tmp_path):
    assert HostLock(tmp_path).worker_prefix == HostLock(tmp_path / "x" / "..").worker_prefix
    assert HostLock(tmp_path).worker_prefix != HostLock(tmp_path / "x").worker_prefix


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        HostLock(tmp_path / "file" / "home").acquire()
