"""Reading weights from mapped files: what is shared, what is copied, what comes back, what changed underneath."""

from __future__ import annotations

import gc
import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gesso.errors import BadFileError
from gesso.models.folders import read_folder
from gesso.models.headers import read_header
from gesso.models.readers import FolderReader, SafetensorsReader, open_reader

# Larger than a page, a neighbour that shares its last page, one shorter than a page, a scalar, an empty one.
TENSORS = {
    "big": torch.randn(50, 333),
    "next": torch.randn(7, 5),
    "tail": torch.randn(2000),
    "scalar": torch.tensor(3.5),
    "none": torch.empty(0, 4),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_read_shares_pages_and_copy_does_not(path: Path) -> None:
    reader = SafetensorsReader(path)
    for name, tensor in TENSORS.items():
        assert torch.equal(reader.read(name).data, tensor)
        assert torch.equal(reader.copy(name).data, tensor)
    reader.read("big").data.zero_()
    assert (reader.read("big").data == 0).all()
    assert torch.equal(reader.copy("big").data, TENSORS["big"])


@pytest.mark.parametrize("name", ["big", "next", "tail", "scalar", "none"])
def test_restore_brings_back_one_tensor(path: Path, name: str) -> None:
    reader = SafetensorsReader(path)
    for other in TENSORS:
        reader.read(other).data.fill_(7)
    reader.restore(name)
    for other, tensor in TENSORS.items():
        expected = tensor if other == name else torch.full_like(tensor, 7)
        assert torch.equal(reader.read(other).data, expected), other


def test_the_file_is_never_written(path: Path) -> None:
    before = path.read_bytes()
    reader = SafetensorsReader(path)
    for name in TENSORS:
        reader.read(name).data.fill_(1)
        reader.restore(name)
    reader.close()
    gc.collect()
    assert path.read_bytes() == before


def test_release_keeps_what_is_read_later(path: Path) -> None:
    reader = SafetensorsReader(path)
    reader.release(TENSORS)
    assert torch.equal(reader.read("big").data, TENSORS["big"])


def test_unaligned_tensors(write: Any) -> None:
    """Legal in the format: an odd number of bytes before a float."""
    header = {
        "a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [3, 11]},
    }
    data = bytes([1, 2, 3]) + torch.tensor([1.5, -2.0]).numpy().tobytes()
    for padding in range(4):
        text = json.dumps(header).encode() + b" " * padding
        assert SafetensorsReader(write(text, data)).read("b").data.tolist() == [1.5, -2.0]


def test_replaced_between_header_and_map(path: Path, tmp_path: Path) -> None:
    """Another file under the same name, larger than the first so that every offset still fits."""
    header = read_header(path)
    save_file({name: torch.zeros(60, 400) for name in TENSORS}, tmp_path / "other")
    (tmp_path / "other").replace(path)
    with pytest.raises(BadFileError, match="changed while it was being opened"):
        SafetensorsReader(path, header)


def test_replaced_after_mapping(path: Path, tmp_path: Path) -> None:
    """The old file stays readable as long as it is open, as every POSIX system keeps it."""
    reader = SafetensorsReader(path)
    save_file({name: torch.zeros_like(tensor) for name, tensor in TENSORS.items()}, tmp_path / "other")
    (tmp_path / "other").replace(path)
    assert torch.equal(reader.copy("big").data, TENSORS["big"])
    reader.read("big").data.zero_()
    reader.restore("big")
    assert torch.equal(reader.read("big").data, TENSORS["big"])


def test_cut_or_gone_between_header_and_map(path: Path) -> None:
    header = read_header(path)
    content = path.read_bytes()
    for bad in (content[:-1], content[:50], b""):
        path.write_bytes(bad)
        with pytest.raises(BadFileError):
            SafetensorsReader(path, header)
    path.unlink()
    with pytest.raises(BadFileError, match="No such file"):
        SafetensorsReader(path, header)


def test_cut_while_in_use(path: Path) -> None:
    reader = SafetensorsReader(path)
    os.truncate(path, 200)
    with pytest.raises(BadFileError, match="became shorter"):
        reader.copy("big")


def test_unknown_and_closed(path: Path) -> None:
    reader = SafetensorsReader(path)
    with pytest.raises(BadFileError, match="holds no tensor"):
        reader.read("nothing")
    tensor = reader.read("big").data
    reader.close()
    reader.close()
    assert torch.equal(tensor, TENSORS["big"])
    with pytest.raises(BadFileError):
        reader.read("big")


def test_formats_without_torch_type(write: Any) -> None:
    reader = SafetensorsReader(write({"a": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}, bytes(2)))
    with pytest.raises(BadFileError, match="F4, which needs an operator plugin"):
        reader.read("a")


def test_a_forgotten_reader_closes_its_file(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        reader = SafetensorsReader(path)
        file = reader._file
        del reader
        gc.collect()
        assert file.closed


# --- folders ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two components, one in shards, beside things that are none."""
    root = tmp_path / "model"
    index = {
        "_class_name": "SomePipeline",
        "unet": ["d", "U"],
        "vae": ["d", "V"],
        "tokenizer": ["t", "T"],
        "gone": [1, 2],
    }
    for name in ("unet", "vae", "tokenizer", "unrelated"):
        (root / name).mkdir(parents=True)
    (root / "model_index.json").write_text(json.dumps({**index, "scheduler": ["d", "S"], "safety_checker": ["s", "C"]}))
    (root / "unet" / "config.json").write_text('{"channels": 4}')
    shards = {"a.weight": "m-1.safetensors", "b.weight": "m-2.safetensors", "c.weight": "m-1.safetensors"}
    save_file({"a.weight": torch.ones(2), "c.weight": torch.ones(3)}, root / "unet" / "m-1.safetensors")
    save_file({"b.weight": torch.zeros(2)}, root / "unet" / "m-2.safetensors")
    (root / "unet" / "m.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    save_file({"x": torch.full((2,), 5.0)}, root / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    (root / "safety_checker").mkdir()
    save_file({"x": torch.ones(1)}, root / "safety_checker" / "model.safetensors")
    (root / "scheduler").mkdir()
    (root / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "epsilon"}')
    return root


def test_folder_header_and_reader(folder: Path) -> None:
    header = read_folder(folder)
    assert header.container == "folder"
    assert set(header.tensors) == {"unet.a.weight", "unet.b.weight", "unet.c.weight", "vae.x"}
    assert header.metadata["pipeline"] == "SomePipeline"
    assert json.loads(header.metadata["config.unet"]) == {"channels": 4}
    assert json.loads(header.metadata["config.scheduler"]) == {"prediction_type": "epsilon"}
    reader = open_reader(folder, header)
    assert isinstance(reader, FolderReader)
    assert reader.read("unet.b.weight").data.tolist() == [0, 0]
    reader.read("vae.x").data.zero_()
    assert reader.copy("vae.x").data.tolist() == [5, 5]
    reader.restore("vae.x")
    assert reader.read("vae.x").data.tolist() == [5, 5]
    reader.release(header.tensors)
    reader.close()
    with pytest.raises(BadFileError, match="holds no tensor 'x'"):
        reader.read("x")


def test_whole_file_before_variants(folder: Path) -> None:
    save_file({"whole": torch.ones(1)}, folder / "vae" / "diffusion_pytorch_model.safetensors")
    assert "vae.whole" in read_folder(folder).tensors
    assert "vae.x" not in read_folder(folder).tensors


def test_bad_folders(folder: Path) -> None:
    index = folder / "unet" / "m.safetensors.index.json"
    good = index.read_text()
    for content, message in (
        ('{"weight_map": {"a": "../../secret.safetensors"}}', "outside its folder"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "outside its folder"),
        ('{"weight_map": {"a": "m-3.safetensors"}}', "m-3.safetensors is missing"),
        ('{"weight_map": {}}', "names no shards"),
        ('{"weight_map": ["m-1.safetensors"]}', "names no shards"),
        ("{}", "names no shards"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ):
        index.write_text(content)
        with pytest.raises(BadFileError, match=message):
            read_folder(folder)
    index.write_text(good)
    save_file({"a.weight": torch.ones(9)}, folder / "unet" / "m-2.safetensors")
    with pytest.raises(BadFileError, match="repeats the tensor"):
        read_folder(folder)
    (folder / "model_index.json").write_bytes(b"\xff\xfe")
    with pytest.raises(BadFileError, match="not JSON"):
        read_folder(folder)


def test_folder_of_pickles_is_refused(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    (folder / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(BadFileError, match=r"diffusion_pytorch_model\.bin is a pickle"):
        read_folder(folder)


def test_shard_replaced_while_opening(folder: Path) -> None:
    header = read_folder(folder)
    save_file({"x": torch.ones(3)}, folder / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    with pytest.raises(BadFileError, match="changed while it was being opened"):
        FolderReader(folder, header)


def test_index_names_that_are_paths_lead_nowhere(folder: Path) -> None:
    (folder / "model_index.json").write_text(json.dumps({"../model": ["d", "U"], "/tmp": [1, 2], "..": [1], ".": [1]}))
    assert read_folder(folder).tensors == {}
