"""The models a person has: scanned, recognised, remembered, found again."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gesso.contributions import ModelFolder
from gesso.errors import BadFileError, InvalidInputError, UnknownNameError
from gesso.models.library import Library
from gesso.service import Service
from gesso.types import Header, Match, ModelRef


class OneFamily:
    """Hooks with one family, which takes every header with a tensor "unet.x" or "x"."""

    name = "simple"
    fits = None

    def __init__(self) -> None:
        self.detect, self.asked = self, 0

    def registry(self, name: str) -> Any:
        return [self] if name == "families" else []

    def choose(self, hook: str, /, **kwargs: Any) -> Any:
        return None

    def load(self) -> Any:
        return self._found

    def _found(self, header: Header) -> list[Match]:
        self.asked += 1
        known = "x" in header.tensors or "unet.x" in header.tensors
        return [Match(family="simple", variant="v")] if known else []


@pytest.fixture
def hooks() -> OneFamily:
    return OneFamily()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoints"
    (folder / "sub" / "pipe.v1.5" / "unet").mkdir(parents=True)
    save_file(
        {"x": torch.ones(3)}, folder / "one.safetensors", {"modelspec.title": "One", "modelspec.resolution": "8x8"}
    )
    save_file({"x": torch.ones(3).half()}, folder / "sub" / "two.safetensors")
    save_file({"x": torch.ones(4)}, folder / "sub" / "pipe.v1.5" / "unet" / "diffusion_pytorch_model.safetensors")
    (folder / "sub" / "pipe.v1.5" / "model_index.json").write_text('{"unet": ["d", "U"]}')
    (folder / "old.ckpt").write_bytes(b"\x80\x02}q\x00.......")
    (folder / "notes.txt").write_text("no model")
    return folder


@pytest.fixture
def library(hooks: OneFamily, models: Path, tmp_path: Path) -> Library:
    return Library(hooks, tmp_path / "cache" / "models.json", [ModelFolder(name="c", role="checkpoint", path=models)])


def test_entries(library: Library) -> None:
    found = {entry.name: entry for entry in library.entries()}
    assert set(found) == {"old", "one", "pipe.v1.5", "two"}
    assert (found["one"].family, found["one"].title, found["one"].defaults) == (
        "simple",
        "One",
        {"width": 8, "height": 8},
    )
    assert (found["two"].dtype, found["pipe.v1.5"].dtype) == ("F16", "F32")
    assert found["old"].state == "refused"
    assert "pickle" in found["old"].problem
    assert found["pipe.v1.5"].path.is_dir()
    assert found["pipe.v1.5"].size == sum(p.stat().st_size for p in found["pipe.v1.5"].path.rglob("*") if p.is_file())


def test_other_roles_take_no_folders(hooks: OneFamily, models: Path, tmp_path: Path) -> None:
    folders = [ModelFolder(name="v", role="vae", path=models)]
    names = {entry.name for entry in Library(hooks, tmp_path / "c.json", folders).entries("vae")}
    assert "diffusion_pytorch_model" in names
    assert "pipe.v1.5" not in names


def test_links_are_followed_once(hooks: OneFamily, models: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    save_file({"x": torch.ones(1)}, outside / "linked.safetensors")
    (models / "link").symlink_to(outside)
    (outside / "back").symlink_to(models)
    folder = ModelFolder(name="c", role="checkpoint", path=models)
    names = sorted(entry.name for entry in Library(hooks, tmp_path / "c.json", [folder]).entries())
    assert names == ["linked", "old", "one", "pipe.v1.5", "two"]


def test_names_people_give(library: Library, models: Path, tmp_path: Path) -> None:
    one = library.find("one")
    digest = hashlib.sha256((models / "one.safetensors").read_bytes()).hexdigest()
    assert library.hash(one) == digest
    for name in (
        "ONE",
        "one.safetensors",
        str(models / "one.safetensors"),
        f"one [{digest[:10]}]",
        digest[:10],
        digest,
    ):
        assert library.find(name).path == one.path
    assert library.find(ModelRef(role="checkpoint", name="renamed", hash=digest)).path == one.path
    outside = tmp_path / "outside.safetensors"
    save_file({"x": torch.ones(1)}, outside)
    assert library.find(str(outside)).name == "outside"
    assert library.find(str(models / "sub" / "pipe.v1.5")).name == "pipe.v1.5"
    with pytest.raises(BadFileError, match="pickle"):
        library.find("old")
    with pytest.raises(UnknownNameError, match="Did you mean"):
        library.find("onne")


def test_hash_of_a_folder_covers_every_file(library: Library, models: Path) -> None:
    before = library.ref("pipe.v1.5").hash
    assert len(before) == 64
    weights = models / "sub" / "pipe.v1.5" / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({"x": torch.zeros(4)}, weights)
    library.entries(rescan=True)
    changed = library.ref("pipe.v1.5").hash
    (models / "sub" / "pipe.v1.5" / "model_index.json").write_text('{"unet": ["d", "V"]}')
    library.entries(rescan=True)
    assert len({before, changed, library.ref("pipe.v1.5").hash}) == 3


def test_what_was_found_is_remembered(hooks: OneFamily, library: Library, models: Path, tmp_path: Path) -> None:
    library.entries()
    digest, asked = library.ref("one").hash, hooks.asked
    again = Library(hooks, tmp_path / "cache" / "models.json", [ModelFolder(name="c", role="checkpoint", path=models)])
    assert again.find("one").hash == digest
    assert hooks.asked == asked
    save_file({"x": torch.ones(99)}, models / "one.safetensors")
    assert {e.name: e.hash for e in again.entries(rescan=True)}["one"] == ""
    assert hooks.asked == asked + 1


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe\x00"])
def test_a_damaged_cache_costs_nothing_but_time(hooks: OneFamily, models: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.json").write_bytes(content)
    folder = ModelFolder(name="c", role="checkpoint", path=models)
    assert len(Library(hooks, tmp_path / "c.json", [folder]).entries()) == 4
    asked = hooks.asked
    assert len(Library(hooks, tmp_path / "c.json", [folder]).entries()) == 4
    assert hooks.asked == asked, "it was made anew"


def test_unreadable_things_hinder_nothing(hooks: OneFamily, names: Any, as_nobody: Any) -> None:
    """A file without permission is listed with its problem, a broken folder too; a broken link is no model."""
    content = names("x").read_bytes()
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        folder.chmod(0o755)
        for name, mode in (("one.safetensors", 0o644), ("secret.safetensors", 0)):
            (folder / name).write_bytes(content)
            (folder / name).chmod(mode)
        (folder / "hidden").mkdir(mode=0)
        (folder / "gone.safetensors").symlink_to(folder / "nothing")
        (folder / "broken").mkdir()
        (folder / "broken" / "model_index.json").write_text("{")
        library = Library(hooks, folder / "c.json", [ModelFolder(name="c", role="checkpoint", path=folder)])
        with as_nobody():
            found = {entry.name: entry for entry in library.entries()}
        assert set(found) == {"one", "secret", "broken"}
        assert "Permission denied" in found["secret"].problem
        assert "not JSON" in found["broken"].problem
        assert found["one"].state == "ok"


def test_no_models(hooks: OneFamily, tmp_path: Path) -> None:
    library = Library(hooks, tmp_path / "c.json", [ModelFolder(name="c", role="checkpoint", path=tmp_path / "none")])
    assert library.entries() == []
    with pytest.raises(InvalidInputError, match="There is no model"):
        library.find("")


def test_new_files_and_strangers_are_found_again(service: Service, checkpoint: Path, tmp_path: Path) -> None:
    library = Library(service.host, tmp_path / "cache.json", [ModelFolder(name="m", role="checkpoint", path=tmp_path)])
    stranger = library.find(str(checkpoint))
    late = tmp_path / "late.safetensors"
    late.write_bytes(checkpoint.read_bytes())
    assert library.find("late").path == late  # unknown at first: the folders are looked through again
    assert library.find(stranger.name).path == checkpoint.resolve()
