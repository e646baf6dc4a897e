"""Which model is meant: folders, links, double names and A1111's titles; and a scan that reads nothing twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gesso.contributions import ModelFolder
from gesso.models import library as library_module
from gesso.models.library import Library


class NoHooks:
    def registry(self, name: str) -> Any:
        return []

    def choose(self, hook: str, /, **kwargs: Any) -> Any:
        return None


@pytest.fixture
def content(names: Any) -> bytes:
    """A small file that no two models share byte for byte once a number is put behind it."""
    return bytes(names("x").read_bytes())


def library(tmp_path: Path, *folders: Path) -> Library:
    known = [ModelFolder(name=str(i), role="lora", path=path) for i, path in enumerate(folders)]
    return Library(NoHooks(), tmp_path / "models.sqlite3", known)


def test_double_names_are_told_apart_as_a1111_does(tmp_path: Path, content: bytes) -> None:
    for path in ("a/style", "a/sub/style", "b/Style", "b/other/deep/style", "b/sub/only"):
        file = tmp_path / f"{path}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    models = library(tmp_path, tmp_path / "a", tmp_path / "b")
    assert [e.name for e in models.entries("lora")] == [
        "style", "sub/style", str(tmp_path / "b" / "Style.safetensors"), "other/deep/style", "only",
    ]  # fmt: skip
    for given, found in {
        "style": "a/style", "STYLE.safetensors": "a/style", "sub/style": "a/sub/style",
        "sub\\Style.safetensors": "a/sub/style", "other/deep/style": "b/other/deep/style", "sub/only": "b/sub/only",
        str(tmp_path / "b" / "Style.safetensors"): "b/Style",
    }.items():  # fmt: skip
        assert models.find(given, "lora").path == tmp_path / f"{found}.safetensors", given


def test_a_file_from_elsewhere_is_not_taken_for_a_known_one_of_its_name(tmp_path: Path, content: bytes) -> None:
    for folder in ("known", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "style.safetensors").write_bytes(content)
    models = library(tmp_path, tmp_path / "known")
    assert models.find("style", "lora").path.parent.name == "known"
    elsewhere = str(tmp_path / "elsewhere" / "style.safetensors")
    called = models.find(elsewhere, "lora").name
    assert called == elsewhere
    assert models.find(called, "lora").path == Path(elsewhere)
    assert models.find("style", "lora").path.parent.name == "known"


def test_titles_with_a_hash(tmp_path: Path, content: bytes, names: Any) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for name, tensor in (("one", "x"), ("two", "y")):
        (folder / f"{name}.safetensors").write_bytes(names(tensor, file=f"{name}.tmp").read_bytes())
    models = library(tmp_path, folder)
    short = models.hash(models.find("two", "lora"))[:10]
    assert models.find(f"two [{short}]", "lora").name == "two"
    assert models.find(f"renamed since then [{short}]", "lora").name == "two", "the hash counts for more than the name"
    assert models.find("one [0123456789]", "lora").name == "one", "a hash nobody knows leaves the name"
    assert models.find(f"sub/two.safetensors [{short}]", "lora").name == "two"


def test_a_link_has_its_own_name_and_stands_for_its_file_once(tmp_path: Path, content: bytes) -> None:
    blob = tmp_path / "blobs" / "0f3a"
    blob.parent.mkdir()
    blob.write_bytes(content)
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.safetensors").symlink_to(blob)
    (folder / "again.safetensors").symlink_to(folder / "model.safetensors")
    (folder / "round.safetensors").symlink_to(folder / "round.safetensors")
    (folder / "loop").symlink_to(folder)
    assert [(e.name, e.path) for e in library(tmp_path, folder).entries("lora")] == [
        ("again", folder / "again.safetensors")
    ]


def test_a_second_scan_reads_no_unchanged_header(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 10_000
    folder = tmp_path / "m"
    for i in range(count):
        if i % 500 == 0:
            (folder / str(i)).mkdir(parents=True)
        (folder / str(i - i % 500) / f"{i}.safetensors").write_bytes(content)
    read: list[Path] = []
    original = library_module.read_header
    monkeypatch.setattr(library_module, "read_header", lambda path: read.append(path) or original(path))
    assert len(library(tmp_path, folder).entries("lora")) == count
    assert len(read) == count
    read.clear()
    again = library(tmp_path, folder)
    assert len(again.entries("lora")) == count
    assert read == []
    changed = folder / "0" / "7.safetensors"
    os.utime(changed, (1, 1))
    (folder / "0" / "new.safetensors").write_bytes(content)
    (folder / "500" / "501.safetensors").unlink()
    assert len(again.entries("lora", rescan=True)) == count
    assert sorted(read) == [changed, folder / "0" / "new.safetensors"]


def test_a_scan_that_is_cut_off_was_not_for_nothing(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for i in range(30):
        (folder / f"{i:02}.safetensors").write_bytes(content)
    monkeypatch.setattr(library_module, "AT_ONCE", 10)
    read: list[Path] = []
    original = library_module.read_header

    def stops(path: Path) -> Any:
        read.append(path)
        if len(read) == 25:
            raise KeyboardInterrupt
        return original(path)

    monkeypatch.setattr(library_module, "read_header", stops)
    with pytest.raises(KeyboardInterrupt):
        library(tmp_path, folder).entries("lora")
    read.clear()
    monkeypatch.setattr(library_module, "read_header", lambda path: read.append(path) or original(path))
    assert len(library(tmp_path, folder).entries("lora")) == 30
    assert len(read) == 10
