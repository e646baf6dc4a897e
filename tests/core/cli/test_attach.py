"""`gesso generate` gives its job to the gesso that serves the data folder: one model in memory, not two."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gesso.jobs.lock import HostLock


@pytest.fixture
def serving(gesso_home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real `gesso ui` on a free port, ready to take jobs."""
    command = [sys.executable, "-m", "gesso", "ui", "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    try:
        deadline = time.monotonic() + 180
        while (holder := HostLock.holder(gesso_home)) is None or not holder.url:
            assert process.poll() is None, "the page ended"
            assert time.monotonic() < deadline, "the page did not come up"
            time.sleep(0.2)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", "gesso", "generate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_host_runs_the_job_and_keeps_the_file(
    serving: subprocess.Popen[bytes], gesso_home: Path, checkpoint: Path, tmp_path: Path
) -> None:
    models = gesso_home / "models" / "checkpoints"
    models.mkdir(parents=True)
    (models / "tiny.safetensors").symlink_to(checkpoint)
    done = generate("a red circle", "-m", "tiny", "--steps", "2", "--seed", "3", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "torch" not in imported
    (file,) = [Path(a["file"]) for a in json.loads(done.stdout)["artifacts"]]
    assert list((gesso_home / "outputs").rglob("*.png")) == [file]
    copy = generate("a red circle", "-m", "tiny", "--steps", "2", "--seed", "3", "-o", str(tmp_path / "b.png"))
    assert copy.returncode == 0, copy.stderr[-2000:]
    inline = generate(
        "a red circle", "-m", "tiny", "--steps", "2", "--seed", "3", "--inline", "-o", str(tmp_path / "c.png")
    )
    assert inline.returncode == 0, inline.stderr[-2000:]
    assert "torch" in inline.stderr
    assert (tmp_path / "b.png").exists()
    assert (tmp_path / "c.png").exists()
