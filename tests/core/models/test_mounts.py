"""Models that lie elsewhere: layouts of other programs, extra_model_paths.yaml, and what may be wrong with them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from gesso.errors import BadFileError, InvalidInputError, UnknownNameError
from gesso.models.mounts import Mounts, look, read_extra_paths, split
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service
from gesso.settings import Settings


def make(root: Path, *folders: str) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
    return root


def found(text: str | Path) -> set[tuple[str, str]]:
    mount = look(str(text))
    root = split(str(text))[1]
    assert mount.problems == ()
    return {(f.role, os.path.relpath(f.path, root)) for f in mount.folders}


A1111 = ["models/Stable-diffusion", "models/VAE", "models/Lora", "models/ESRGAN", "embeddings"]
FORGE = ["models/text_encoder", "models/ControlNet", "models/ControlNetPreprocessor"]
COMFY = ["models/checkpoints", "models/diffusion_models", "models/loras", "models/clip", "models/upscale_models"]


def test_a1111_and_forge(tmp_path: Path) -> None:
    make(tmp_path, *A1111, *FORGE)
    assert look(str(tmp_path)).layout == "A1111"
    assert found(tmp_path) == {
        ("checkpoint", "models/Stable-diffusion"), ("vae", "models/VAE"), ("lora", "models/Lora"),
        ("upscaler", "models/ESRGAN"), ("embedding", "embeddings"), ("text_encoder", "models/text_encoder"),
        ("controlnet", "models/ControlNet"),
    }  # fmt: skip


def test_comfyui_by_its_folder_or_its_models_folder(tmp_path: Path) -> None:
    make(tmp_path, *COMFY)
    assert look(str(tmp_path)).layout == "ComfyUI"
    expected = {
        ("checkpoint", "checkpoints"), ("checkpoint", "diffusion_models"), ("lora", "loras"), ("text_encoder", "clip"),
        ("upscaler", "upscale_models"),
    }  # fmt: skip
    assert found(tmp_path) == {(role, f"models/{path}") for role, path in expected}
    assert found(tmp_path / "models") == expected


def test_names_of_folders_in_any_case_and_behind_links(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere", "ui/MODELS/stable-Diffusion")
    (tmp_path / "ui" / "MODELS" / "lora").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "ui") == {("checkpoint", "MODELS/stable-Diffusion"), ("lora", "MODELS/lora")}


def test_one_folder_with_its_kind(tmp_path: Path) -> None:
    assert found(f"lora={tmp_path}") == {("lora", ".")}
    make(tmp_path, "a=b/models/vae")
    assert found(tmp_path / "a=b") == {("vae", "models/vae")}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda p: p / "none", "is not there"),
        (lambda p: make(p / "empty", "pictures") / ".", "holds no folder that A1111"),
        (lambda p: (p / "round").symlink_to(p / "round") or p / "round", "leads in a circle"),
        (lambda p: (p / "file").write_text("[") and p / "file", "is no YAML"),
        (lambda p: (p / "f").write_text("") or p / "f" / "sub", "leads through something that is no folder"),
        (lambda p: p / ("x" * 300), "too long a name"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, build: Any, message: str) -> None:
    path = build(tmp_path)
    mount = look(str(path))
    assert mount.folders == ()
    (problem,) = mount.problems
    assert message in problem
    assert str(split(str(path))[1]) in problem


def test_a_folder_nobody_may_read(as_nobody: Any) -> None:
    with tempfile.TemporaryDirectory() as base:
        root = Path(base)
        make(root, "models/vae", "models/loras")
        for folder in (root, root / "models", root / "models" / "vae"):
            folder.chmod(0o755)
        (root / "models" / "loras").chmod(0)
        with as_nobody():
            mount = look(base)
        assert [f.role for f in mount.folders] == ["lora", "vae"] or [f.role for f in mount.folders] == ["vae", "lora"]
        assert mount.problems == (f"The folder {root / 'models' / 'loras'} may not be read by this user.",)


# --- extra_model_paths.yaml ---------------------------------------------------------------------------------------

EXTRA = """
# as ComfyUI's example
comfyui:
    base_path: other/comfy
    is_default: true
    checkpoints: models/checkpoints/
    custom_nodes: custom_nodes/
a111:
    base_path: {base}
    checkpoints: models/Stable-diffusion
    loras: |
         models/Lora
         models/LyCORIS
    ipadapter: models/ipadapter
nothing:
"""


def test_extra_model_paths(tmp_path: Path) -> None:
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(EXTRA.format(base=tmp_path / "a1111"))
    assert read_extra_paths(file) == [
        ("checkpoint", tmp_path / "other/comfy/models/checkpoints", True),
        ("checkpoint", tmp_path / "a1111/models/Stable-diffusion", False),
        ("lora", tmp_path / "a1111/models/Lora", False),
        ("lora", tmp_path / "a1111/models/LyCORIS", False),
        ("ipadapter", tmp_path / "a1111/models/ipadapter", False),
    ]
    mount = look(str(file))
    assert len(mount.folders) == 5
    assert mount.first
    assert len(mount.problems) == 5, "every folder that is not there is named"
    assert str(tmp_path / "a1111/models/LyCORIS") in mount.problems[3]


def test_a_comfyui_folder_brings_its_extra_paths(tmp_path: Path) -> None:
    make(tmp_path, "comfy/models/checkpoints", "disk/loras")
    (tmp_path / "comfy" / "extra_model_paths.yaml").write_text(f"big:\n  loras: {tmp_path / 'disk' / 'loras'}\n")
    assert found(tmp_path / "comfy") == {("checkpoint", "models/checkpoints"), ("lora", "../disk/loras")}


def test_home_and_variables_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DISK", "big")
    file = tmp_path / "x.yaml"
    file.write_text("a:\n  base_path: ~/models\n  vae: $DISK\n")
    assert read_extra_paths(file) == [("vae", tmp_path / "models" / "big", False)]
    assert split("~/a")[1] == tmp_path / "a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2", "line 1 is no YAML"),
        ("a:\n\tb: c", "line 2 is no YAML"),
        ("- a\n- b", "no list of sections"),
        ("a: b", "'a' is no list of folders"),
        ("a:\n  base_path: 3\n  vae: x", "'a' is no list of folders"),
        ("a:\n  vae: [x, y]", "a.vae is no folder"),
        ("a: !!python/object/apply:os.system ['touch /tmp/x']", "is no YAML"),
        ("a: " + "[" * 5000, "is no YAML"),
        ("a: 2020-99-99", "is no YAML"),
        ("a:\n  vae: x\n" + "# filler\n" * 200_000, "no list of sections"),
    ],
)
def test_a_bad_file_is_one_error(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(BadFileError, match=message) as caught:
        read_extra_paths(file)
    assert str(file) in str(caught.value)
    assert look(str(file)).problems == (str(caught.value),)


def test_comments_alone_are_no_error(tmp_path: Path) -> None:
    file = tmp_path / "example.yaml"
    file.write_text("# nothing but comments\n")
    assert read_extra_paths(file) == []


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80) | st.text("ab:[]{}-|&*!\n \t'\"#%@", max_size=60).map(str.encode))
def test_any_content_is_folders_or_one_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.yaml"
        file.write_bytes(content)
        with contextlib.suppress(BadFileError):
            read_extra_paths(file)


# --- while the program runs ---------------------------------------------------------------------------------------


@pytest.fixture
def comfy(tmp_path: Path, checkpoint: Path) -> Path:
    make(tmp_path, "comfy/models/checkpoints/sub", "comfy/models/loras")
    (tmp_path / "comfy/models/checkpoints/sub/mine.safetensors").write_bytes(checkpoint.read_bytes())
    save_file({"x": torch.ones(1)}, tmp_path / "comfy/models/loras/style.safetensors")
    return tmp_path / "comfy"


def test_a_mount_is_seen_without_a_restart(comfy: Path, tmp_path: Path, service: Service) -> None:
    running = Service(service.host, Paths.of(tmp_path / "home"))
    other = Service(service.host, Paths.of(tmp_path / "home"))  # as another process
    with pytest.raises(UnknownNameError):
        running.library.find("mine")
    other.mounts.add(str(comfy))
    assert running.library.find("mine").path == comfy / "models/checkpoints/sub/mine.safetensors"
    assert running.library.find("sub/mine").place == "sub"
    assert [e.name for e in running.library.entries("lora")] == ["style"]
    other.mounts.add(str(comfy))
    assert running.mounts.settings().mounts == [str(comfy)], "once"
    other.mounts.remove(str(comfy))
    assert "mine" not in [e.name for e in running.library.entries()]
    assert (comfy / "models/checkpoints/sub/mine.safetensors").exists()


def test_what_cannot_be_mounted_is_refused_and_what_is_not_mounted_too(tmp_path: Path) -> None:
    mounts = Mounts(Settings(tmp_path / "settings.json"))
    with pytest.raises(InvalidInputError, match="is not there"):
        mounts.add(str(tmp_path / "none"))
    with pytest.raises(InvalidInputError, match="needs a folder"):
        mounts.add("", "lora")
    with pytest.raises(UnknownNameError, match="mount"):
        mounts.remove("x")
    mounts.add(str(tmp_path), "lora")
    mounts.remove(f"lora={tmp_path}")
    assert mounts.all() == []


def test_a_mount_that_goes_away_costs_its_models_alone(comfy: Path, tmp_path: Path) -> None:
    with Host.load("both", home=tmp_path / "home") as host:
        service = Service(host, Paths.of(tmp_path / "home"))
        service.mounts.add(str(comfy))
        assert service.library.find("mine")
        comfy.rename(tmp_path / "gone")
        service.mounts._seen = ((), 0.0, [])  # as if FRESH_S had passed
        assert service.mounts.problems() == [f"The mount {comfy} is not there."]
        assert [e.name for e in service.library.entries()] == ["shapes"]
