"""SDXL's size conditioning as people set it: what the UNet is told, what the picture's file says, and its bounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gesso.errors import GessoError
from gesso.metadata import parse_infotext, read_image_metadata
from gesso.pairs import request_fields
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service
from gesso_builtin.stable_diffusion import sdxl as family

EVERYTHING = {
    "original_width": 1920, "original_height": 1080, "crop_left": 30, "crop_top": 7, "target_width": 640,
    "target_height": 480, "aesthetic_score": 9.0, "negative_aesthetic_score": 0.0,
}  # fmt: skip
Told = list[list[float]]
Run = Callable[..., tuple[bytes, Told]]


@pytest.fixture
def service(host: Host, tmp_path: Path) -> Service:
    return Service(host, Paths.of(tmp_path / "home"))


@pytest.fixture
def run(service: Service, monkeypatch: pytest.MonkeyPatch) -> Run:
    """(model file, the record's fields) → the picture, and the numbers told with prompt and negative prompt."""
    original = family.time_ids

    def picture(model: Path, **fields: Any) -> tuple[bytes, Told]:
        told: Told = []

        def watched(*args: Any) -> torch.Tensor:
            made = original(*args)
            told.extend(made.tolist())
            return made

        monkeypatch.setattr(family, "time_ids", watched)
        asked = {"prompt": "a red circle", "model": str(model), "steps": 1, "seed": 7, "width": 64, "height": 128}
        result = service.run(service.job(service.request({**asked, "params": {"sdxl": fields}})))
        return service.executor.blobs.get(result.artifacts[0].file), told

    return picture


def test_the_picture_is_its_own_original_and_target(sdxl: Any, run: Run, tmp_path: Path) -> None:
    _, told = run(sdxl.write(tmp_path / "sdxl.safetensors"))
    assert told == [[128, 64, 0, 0, 128, 64]] * 2


def test_what_is_set_is_told_and_one_side_alone_leaves_the_other(sdxl: Any, run: Run, tmp_path: Path) -> None:
    path = sdxl.write(tmp_path / "sdxl.safetensors")
    plain, _ = run(path)
    changed, told = run(path, **EVERYTHING)
    assert told == [[1080, 1920, 7, 30, 480, 640]] * 2
    assert changed != plain
    assert run(path, original_width=32)[1] == [[128, 32, 0, 0, 128, 64]] * 2


def test_the_refiner_is_told_its_scores(refiner: Any, run: Run, tmp_path: Path) -> None:
    path = refiner.write(tmp_path / "refiner.safetensors")
    assert run(path)[1] == [[128, 64, 0, 0, 6.0], [128, 64, 0, 0, 2.5]]
    assert run(path, **EVERYTHING)[1] == [[1080, 1920, 7, 30, 9.0], [1080, 1920, 7, 30, 0.0]]


def test_the_file_says_it_and_it_is_read_back(sdxl: Any, run: Run, service: Service, tmp_path: Path) -> None:
    path = sdxl.write(tmp_path / "sdxl.safetensors")
    png, _ = run(path, **EVERYTHING)
    text = parse_infotext(read_image_metadata(png).infotext or "")
    assert text.params["SDXL crop left"] == "30"
    fields, unknown = request_fields(service.host, text.prompt, text.negative_prompt, text.params)
    assert unknown == {}
    assert service.request({**fields, "model": str(path)}).params["sdxl"] == EVERYTHING
    quiet = parse_infotext(read_image_metadata(run(path)[0]).infotext or "")
    assert not [key for key in quiet.params if key.startswith("SDXL")]


@pytest.mark.parametrize("wrong", [{"crop_left": -1}, {"original_width": 10**9}, {"aesthetic_score": 11}])
def test_out_of_bounds_is_one_sentence(wrong: dict[str, float], sdxl: Any, run: Run, tmp_path: Path) -> None:
    with pytest.raises(GessoError, match=next(iter(wrong))):
        run(sdxl.write(tmp_path / "sdxl.safetensors"), **wrong)
