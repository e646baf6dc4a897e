"""Files never take each other's place, whoever writes at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gesso import Artifact, FileRef, Job, NamedOutput, OutputSettings, Request
from gesso.outputs.writing import OutputWriter, next_number
from gesso.plugins.host import Host
from gesso.testing import load_host

WRITE = """
import json, sys
from pathlib import Path
from gesso import Artifact, FileRef, Job, NamedOutput, OutputSettings, Request
from gesso.outputs.writing import OutputWriter
from gesso.testing import load_host

root, lock, who, count, number = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5] == "1"
artifact = Artifact(kind="image", file=FileRef(sha256="0" * 64, type="image/png"), meta={"seed": 1, "infotext": who})
output = NamedOutput(Job(request=Request()), artifact, settings=OutputSettings(folder="", number=number, sidecar=True))
with load_host(["outputs"]) as host:
    writer = OutputWriter(host, lambda: root, lock)
    print("ready", flush=True)
    sys.stdin.readline()
    for i in range(count):
        print(json.dumps([str(writer.put(output, f"{who}-{i}".encode())), f"{who}-{i}"]), flush=True)
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with load_host(["outputs"]) as loaded:
        yield loaded


def named(**settings: object) -> NamedOutput:
    artifact = Artifact(kind="image", file=FileRef(sha256="0" * 64, type="image/png"), meta={"seed": 1})
    chosen = OutputSettings.parse({"folder": "", **settings})
    return NamedOutput(Job(request=Request()), artifact, settings=chosen)


@pytest.mark.parametrize(("number", "locks"), [("1", 1), ("0", 1), ("0", 2)])
def test_two_processes_at_once(tmp_path: Path, number: str, locks: int) -> None:
    """With one lock (one data folder) numbers are unique; with two (two data folders) still nothing is lost."""
    root, count = tmp_path / "out", 40
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(root), str(tmp_path / f"lock{i % locks}"), f"p{i}", str(count), number],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for i in range(2)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    written = [json.loads(line) for p in processes for line in p.communicate(timeout=120)[0].splitlines()]
    assert [p.returncode for p in processes] == [0, 0]
    assert len({path for path, _ in written}) == 2 * count
    assert {path: Path(path).read_text() for path, _ in written} == dict(written)
    for path, content in written:
        assert Path(path).with_suffix(".txt").read_text() == content.partition("-")[0] + "\n"
    assert len(list(root.iterdir())) == 4 * count, "and nothing else is left lying"
    if number == "1":
        assert sorted(Path(path).name[:5] for path, _ in written) == [f"{i:05}" for i in range(2 * count)]


def test_names_without_a_number_are_counted_up(host: Host, tmp_path: Path) -> None:
    writer = OutputWriter(host, lambda: tmp_path / "out", tmp_path / "lock")
    names = [writer.put(named(number=False, name=name), b"x").name for name in ("[seed]", "[seed]", "[none]", "[none]")]
    assert names == ["1.png", "1-1.png", "00000.png", "00001.png"]


def test_what_stands_in_the_way_is_left_alone(host: Host, tmp_path: Path) -> None:
    writer = OutputWriter(host, lambda: tmp_path, tmp_path / ".lock")
    (tmp_path / "00000-1.txt").write_text("a person's notes")
    (tmp_path / "00001-1.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "00002-1.png").mkdir()
    assert writer.put(named(sidecar=True), b"x").name == "00003-1.png"
    assert (tmp_path / "00000-1.txt").read_text() == "a person's notes"
    assert not (tmp_path / "nowhere").exists()


def test_numbers_go_on_behind_the_highest(tmp_path: Path) -> None:
    assert next_number(tmp_path / "none") == 0
    for name in ("00007-1.png", "99999.png", "123-x.png", "1234567-x.png", "٠٠٠٠٩-x.png", "notes.txt"):
        (tmp_path / name).write_text("")
    assert next_number(tmp_path) == 100_000
