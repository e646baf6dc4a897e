"""Hashes: computed once for a path, a size and a time; by a thread that takes its time and says how far it is."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from gesso.contributions import ModelFolder
from gesso.errors import BadFileError
from gesso.models import hashing
from gesso.models.hashing import HashingThread, sha256_of
from gesso.models.library import Library


class NoHooks:
    def registry(self, name):
        return []

    def choose(self, hook, /, **kwargs):
        return None


@pytest.fixture
def folder(tmp_path: Path, names) -> Path:
    made = tmp_path / "loras"
    made.mkdir()
    content = names("x").read_bytes()
    for name in ("a", "b", "c"):
        (made / f"{name}.safetensors").write_bytes(content)
    return made


def library(tmp_path: Path, folder: Path) -> Library:
    return Library(NoHooks(), tmp_path / "models.sqlite3", [ModelFolder(name="l", role="lora", path=folder)])


def test_several_files_one_after_the_other_and_no_faster_than_asked(tmp_path: Path, monkeypatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    told: list[tuple[int, int]] = []
    files = [tmp_path / "one", tmp_path / "two"]
    value = sha256_of(files, 6000, lambda done, total: told.append((done, total)), speed=1000.0)
    assert value == hashlib.sha256(b"one" * 1000 + b"two" * 1000).hexdigest()
    assert told == [(3000, 6000), (6000, 6000)]
    assert slept[0] == pytest.approx(3, abs=1), "3,000 bytes at 1,000 a second"
    with pytest.raises(BadFileError, match="none"):
        sha256_of([tmp_path / "none"])


def test_the_thread_hashes_what_has_none_and_says_how_far_it_is(tmp_path: Path, folder: Path) -> None:
    models = library(tmp_path, folder)
    thread = HashingThread(models, lambda: 0.0)
    seen = []
    original = models.hash
    models.hash = lambda entry, progress, speed: seen.append(thread.status) or original(entry, progress, speed=speed)
    assert thread.round() == 3
    assert [(s.files_left, s.total) for s in seen] == [(left, seen[0].total) for left in (3, 2, 1)]
    assert seen[0].bytes_left == 3 * seen[0].total
    digest = hashlib.sha256((folder / "a.safetensors").read_bytes()).hexdigest()
    assert {e.name: e.hash for e in models.entries("lora")} == dict.fromkeys("abc", digest)
    assert thread.round() == 0
    assert thread.status == hashing.HashingStatus()


def test_hashes_outlive_the_program_and_reach_other_processes(tmp_path: Path, folder: Path, monkeypatch) -> None:
    one, other = library(tmp_path, folder), library(tmp_path, folder)
    assert other.find("a", "lora").hash == ""
    one.hash(one.find("a", "lora"))
    read = []
    monkeypatch.setattr("gesso.models.library.sha256_of", lambda *args, **kwargs: read.append(args) or "0" * 64)
    assert other.hash(other.find("a", "lora")) == one.find("a", "lora").hash
    assert library(tmp_path, folder).find("a", "lora").hash
    assert read == [], "the file is not read a second time"
    os.utime(folder / "a.safetensors", (1, 1))
    changed = library(tmp_path, folder)
    assert changed.find("a", "lora").hash == ""
    changed.hash(changed.find("a", "lora"))
    assert len(read) == 1


def test_it_ends_within_a_block(tmp_path: Path, folder: Path) -> None:
    (folder / "d.safetensors").write_bytes((folder / "a.safetensors").read_bytes())
    thread = HashingThread(library(tmp_path, folder), lambda: 1.0)  # a byte a second: hours
    monkey = hashing.time.sleep
    try:
        hashing.time.sleep = lambda seconds: monkey(0.01)
        thread.start()
        thread.stop()
    finally:
        hashing.time.sleep = monkey
    assert thread._thread is not None
    assert not thread._thread.is_alive()


def test_a_file_that_cannot_be_read_is_left_and_the_others_are_done(tmp_path: Path, folder: Path) -> None:
    models = library(tmp_path, folder)
    models.entries("lora")
    (folder / "b.safetensors").unlink()
    thread = HashingThread(models, lambda: 0.0)
    assert thread.round() == 3
    assert thread.missing() == []
    assert [e.name for e in models.entries("lora") if e.hash] == ["a", "c"]
