"""A picture of any program is recognised and told, and what would be otherwise here is listed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gesso import InvalidInputError, encode_image, format_infotext
from gesso_builtin.png_info.ui import read

A1111 = """a <cat>
Negative prompt: blurry
Steps: 7, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 12, Size: 515x512, Model hash: 879db523c3, \
Model: dreamshaper_8, VAE: vae-ft-mse.safetensors, Clip skip: 2, Face restoration: GFPGAN, Version: v1.10.1"""
COMFY = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["1", 1]}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "ugly", "clip": ["1", 1]}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "5": {"class_type": "KSampler", "inputs": {
        "seed": 5, "steps": 9, "cfg": 6.5, "sampler_name": "euler", "scheduler": "karras", "denoise": 1.0,
        "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]}},
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
    "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0]}},
}  # fmt: skip


@pytest.fixture(scope="module")
def service(demo: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return demo.service


def told(service: Any, folder: Path, data: bytes, name: str = "a.png") -> tuple[dict[str, Any], str]:
    path = folder / name
    path.write_bytes(data)
    return read(service, str(path))


def test_what_is_otherwise_here(service: Any) -> None:
    found = service.closest(A1111)
    request = found.request
    assert (request.steps, request.seed, request.sampler, request.width) == (7, 12, "dpmpp_2m", 512)
    assert (request.prompt, request.negative_prompt, request.model) == ("a <cat>", "blurry", "shapes")
    assert request.params["clip_skip"]["layers"] == 2
    assert [(one.key, one.said, one.here, one.kind) for one in found.differences] == [
        ("Size", "515x512", "512x512", "changed"),
        ("Model", "dreamshaper_8", "shapes", "missing"),
        ("VAE", "vae-ft-mse.safetensors", "", "missing"),
        ("Face restoration", "GFPGAN", "", "unknown"),
    ]
    assert "Known" not in "".join(one.why for one in found.differences)  # hints are for who types


def test_nothing_strangers_write_is_more_than_a_difference(service: Any) -> None:
    found = service.closest(
        "x\nSteps: 9999, Sampler: Nope 3000, Schedule type: Odd, CFG scale: many, Size: 64x64, Seed: -5"
    )
    assert {(one.key, one.kind) for one in found.differences} == {
        ("Steps", "invalid"), ("Sampler", "unknown"), ("Schedule type", "unknown"), ("CFG scale", "invalid"),
        ("Seed", "invalid"),
    }  # fmt: skip
    other = service.closest("x\nSteps: 2, Sampler: Euler, Size: 64x64, Model: shapes, Model hash: 0123456789")
    if service.library.find("shapes").hash:
        assert other.differences[0].said == "shapes [0123456789]"


def test_an_own_picture_has_no_differences(service: Any, demo: Any, tmp_path: Path) -> None:
    made = demo.make(sampler="euler_ancestral", params={"clip_skip": {"layers": 2}})
    data, html = told(service, tmp_path, made.files[0])
    assert service.closest(made.infotexts[0]).differences == ()
    assert "png_info.same" in html
    assert (data["seed"], data["infotext"]) == ("7", made.infotexts[0])
    assert service.file(service.take_picture(made.files[0])) == made.files[0]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_told(service: Any, tmp_path: Path, form: str) -> None:
    picture = encode_image(Image.new("RGB", (8, 8)), format=form, infotext=A1111)
    data, html = told(service, tmp_path, picture, f"a.{form.lower()}")
    assert data["file"]["type"] == f"image/{form.lower()}"
    for part in ("a &lt;cat&gt;", "png_info.source.a1111", f"{form} · 8 × 8", "dreamshaper_8", "png_info.kind.missing"):
        assert part in html
    assert "<cat>" not in html


def test_another_program_and_its_workflow(service: Any, tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("prompt", json.dumps(COMFY))
    info.add_text("workflow", json.dumps({"nodes": ["x" * 30_000]}))
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG", pnginfo=info)
    data, html = told(service, tmp_path, buffer.getvalue())
    assert data["infotext"].startswith("a fox\nNegative prompt: ugly\nSteps: 9, Sampler: Euler, Schedule type: Karras")
    for part in ("ComfyUI", "<summary>prompt", "<summary>workflow", "sdxl"):
        assert part in html
    assert len(html) < 40_000


def test_pictures_that_say_nothing_and_what_is_no_picture(service: Any, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    data, html = told(service, tmp_path, buffer.getvalue())
    assert (data["infotext"], "file" in data, "png_info.nothing" in html) == ("", True, True)
    assert read(service, None)[0] == {}
    data, html = told(service, tmp_path, b"no picture <b>")
    assert (data, 'role="alert"' in html, "<b>" in html) == ({}, True, False)


def test_a_prompt_that_is_all_markup_is_shown_as_text(service: Any, tmp_path: Path) -> None:
    evil = format_infotext('<script>alert("x")</script>', "", {"Steps": 2, "Sampler": '<img onerror="x">', "Seed": 1})
    _, html = told(service, tmp_path, encode_image(Image.new("RGB", (8, 8)), infotext=evil))
    assert "<script" not in html
    assert "<img" not in html


def test_without_a_model_the_words_are_told_all_the_same(service: Any, tmp_path: Path, monkeypatch: Any) -> None:
    def none(*_: Any) -> None:
        raise InvalidInputError("There is no model.")

    monkeypatch.setattr(service, "closest", none)
    data, html = told(service, tmp_path, encode_image(Image.new("RGB", (8, 8)), infotext=A1111))
    assert ("There is no model." in html, data["infotext"]) == (True, A1111)
