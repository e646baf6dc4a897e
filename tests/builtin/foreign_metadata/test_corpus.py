"""What each program writes, from its own documentation and source, as the request gesso makes of it.

Texts are written by hand in each program's form; no file of anybody's is here.
"""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gesso import CoreParams, Params
from gesso.metadata import a1111_parameters, encode_image
from gesso.pairs import effective_scheduler
from gesso.paths import Paths
from gesso.plugins.host import Host, Selection
from gesso.service import Service

A1111 = """masterpiece, (best quality:1.2), a fox [in the snow:at night:0.5]
second line
Negative prompt: lowres, (bad hands:1.3)
blurry
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 965400086, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, VAE hash: 735e4c3a44, VAE: vae-ft-mse-840000.safetensors, \
Denoising strength: 0.7, Clip skip: 2, Hires upscale: 2, Hires steps: 10, Hires upscaler: Latent, \
Lora hashes: "detail: 7c6bad76eb54, style: 9bc5b4ff5e3f", TI hashes: "easynegative: c74b4e810b03", Version: v1.10.1"""
OLD = """a cat
Steps: 28, Sampler: DPM++ SDE Karras, CFG scale: 7, Seed: 3, Size: 640x512, \
Model hash: 81761151, ENSD: 31337, Eta: 0.67"""
FORGE = """a fox
Steps: 20, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 3.5, Seed: 4, Size: 896x1152, \
Model hash: d4ac0b0acf, Model: flux1-dev-Q8_0, Version: f2.0.1v1.10.1-previous-665-gae278f79, \
Diffusion in Low Bits: Automatic (fp16 LoRA), Module 1: ae, Module 2: clip_l, Module 3: t5xxl_fp16"""
SDNEXT = """a fox
Negative prompt: blurry
Steps: 30, Size: 1024x1024, Sampler: Euler a, Seed: 5, CFG scale: 6, CFG end: 0.8, App: SD.Next, Version: 8b73cb6, \
Pipeline: StableDiffusionXLPipeline, Operations: txt2img, Model: sd_xl_base_1.0, \
Model hash: 31e35c80fc, Backend: Diffusers"""
CIVITAI = """a fox, <lora:detail:0.5>
Negative prompt: blurry
Steps: 25, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 6, Size: 832x1216, Clip skip: 2, \
Created Date: 2025-01-01T10:00:00Z, Civitai resources: [{"type":"checkpoint","modelVersionId":290640,"weight":1}], \
Civitai metadata: {"remixOfId":1}"""
CIVITAI_FLUX = """a fox
Steps: 28, Sampler: Undefined, CFG scale: 3.5, Seed: 7, Size: 832x1216, Clip skip: 2, \
Civitai resources: [{"type":"checkpoint","modelVersionId":691639}], Civitai metadata: {}"""
SWARM = {
    "sui_image_params": {
        "prompt": "a fox", "negativeprompt": "blurry", "model": "OfficialStableDiffusion/sd_xl_base_1.0",
        "seed": 8, "steps": 24, "cfgscale": 6.5, "aspectratio": "1:1", "width": 1024, "height": 1024,
        "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "vae": "sdxl_vae", "automaticvae": True,
        "initimagecreativity": 0.6, "clipstopatlayer": -2, "loras": ["style/detail"], "loraweights": ["0.7"],
        "swarm_version": "0.9.6.2",
    },
    "sui_extra_data": {"date": "2025-05-01", "prep_time": "1.2 sec", "generation_time": "5.01 sec"},
}  # fmt: skip
INVOKE = {
    "generation_mode": "flux_txt2img", "positive_prompt": "a fox", "negative_prompt": None, "width": 1024,
    "height": 768, "seed": 9, "cfg_scale": 1, "guidance": 4.0, "steps": 30, "scheduler": "euler", "rand_device": "cpu",
    "model": {"key": "f0", "hash": "blake3:00", "name": "FLUX Dev", "base": "flux", "type": "main"},
    "loras": [{"model": {"key": "a1", "name": "lines", "base": "flux", "type": "lora"}, "weight": 0.75}],
    "app_version": "5.6.0",
}  # fmt: skip
NOVELAI = {
    "Title": "NovelAI generated image", "Description": "1girl, fox ears", "Software": "NovelAI",
    "Source": "NovelAI Diffusion V4 37442FCA", "Generation time": "3.1",
    "Comment": {
        "prompt": "1girl, fox ears", "steps": 23, "height": 1216, "width": 832, "scale": 5.0, "uncond_scale": 0.0,
        "cfg_rescale": 0.0, "seed": 10, "n_samples": 1, "noise_schedule": "karras", "legacy_v3_extend": False,
        "sampler": "k_dpmpp_2s_ancestral", "uc": "lowres", "request_type": "PromptGenerateRequest",
        "v4_prompt": {"caption": {"base_caption": "1girl, fox ears", "char_captions": []}, "use_coords": False},
    },
}  # fmt: skip
COMFY = {
    "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors", "weight_dtype": "default"}},
    "2": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": "l.safetensors", "clip_name2": "t5.safetensors"}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["2", 0]}},
    "4": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["3", 0]}},
    "5": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 1152, "height": 896, "batch_size": 1}},
    "6": {"class_type": "KSampler", "inputs": {
        "seed": 11, "steps": 20, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0,
        "model": ["1", 0], "positive": ["4", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
    "7": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["3", 0]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["6", 0], "vae": ["9", 0]}},
    "9": {"class_type": "VAELoader", "inputs": {"vae_name": "ae.safetensors"}},
    "10": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}, "_meta": {"title": "Save"}},
}  # fmt: skip

CORPUS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "A1111 1.10": ("a1111", {"parameters": A1111}, {
        "prompt": "masterpiece, (best quality:1.2), a fox [in the snow:at night:0.5]\nsecond line",
        "negative_prompt": "lowres, (bad hands:1.3)\nblurry", "steps": 20, "sampler": "dpmpp_2m", "scheduler": "karras",
        "cfg_scale": 7.5, "seed": 965400086, "width": 512, "height": 768, "model": "v1-5-pruned-emaonly [6ce0161689]"}),
    "A1111 of 2022": ("a1111", {"parameters": OLD}, {
        "prompt": "a cat", "sampler": "dpmpp_sde", "schedule": "Karras", "seed": 3, "width": 640, "model": "81761151"}),
    "Forge, Flux": ("forge", {"parameters": FORGE}, {
        "sampler": "euler", "scheduler": "simple", "cfg_scale": 1, "width": 896, "height": 1152,
        "model": "flux1-dev-Q8_0 [d4ac0b0acf]"}),
    "SD.Next": ("sdnext", {"parameters": SDNEXT}, {
        "sampler": "euler_ancestral", "cfg_scale": 6, "steps": 30, "model": "sd_xl_base_1.0 [31e35c80fc]"}),
    "Civitai": ("civitai", {"parameters": CIVITAI}, {
        "prompt": "a fox, <lora:detail:0.5>", "sampler": "dpmpp_2m", "schedule": "Karras", "steps": 25, "seed": 6}),
    "Civitai, Flux": ("civitai", {"parameters": CIVITAI_FLUX}, {
        "sampler": "euler", "scheduler": "simple", "cfg_scale": 1, "steps": 28}),
    "SwarmUI": ("swarmui", {"parameters": SWARM}, {
        "prompt": "a fox<lora:detail:0.7>", "sampler": "dpmpp_2m_sde", "scheduler": "karras", "steps": 24,
        "model": "sd_xl_base_1.0", "seed": 8, "width": 1024}),
    "InvokeAI 5, Flux": ("invokeai", {"invokeai_metadata": INVOKE}, {
        "prompt": "a fox<lora:lines:0.75>", "negative_prompt": "", "sampler": "euler", "seed": 9, "height": 768,
        "model": "FLUX Dev", "cfg_scale": 1}),
    "NovelAI 4": ("novelai", NOVELAI, {
        "prompt": "1girl, fox ears", "negative_prompt": "lowres", "sampler": "dpmpp_2s_ancestral",
        "scheduler": "karras",
        "cfg_scale": 5, "steps": 23, "seed": 10, "width": 832, "height": 1216}),
    "ComfyUI, Flux": ("comfyui", {"prompt": COMFY, "workflow": {"nodes": [], "version": 0.4}}, {
        "prompt": "a fox", "negative_prompt": "", "sampler": "euler", "scheduler": "simple", "steps": 20, "seed": 11,
        "width": 1152, "height": 896, "cfg_scale": 1, "model": "flux1-dev"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("home")
    with Host.load("both", home=home, selection=Selection(safe_mode=True)) as host:
        yield Service(host, Paths.of(home))


def png(texts: dict[str, Any], size: tuple[int, int] = (832, 1216)) -> bytes:
    info = PngInfo()
    for key, value in texts.items():
        info.add_text(key, value if isinstance(value, str) else json.dumps(value))
    buffer = io.BytesIO()
    Image.new("1", size).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def check(service: Service, infotext: str, expected: dict[str, Any]) -> None:
    fields, _ = service.reuse(infotext)
    registries = {"sampler": "samplers", "scheduler": "schedulers"}
    for name, value in expected.items():
        if name == "schedule":
            assert effective_scheduler(service.host, fields["sampler"], fields["scheduler"]).label == value
        elif name in registries:
            assert service.host.registry(registries[name]).get(fields[name]).name == value
        else:
            assert type(value)(fields[name]) == value, name


@pytest.mark.parametrize("name", CORPUS)
def test_programs(service: Service, name: str) -> None:
    source, texts, expected = CORPUS[name]
    found = service.read_picture(png(texts))
    assert found.source == source
    check(service, found.infotext or "", expected)


@pytest.mark.parametrize("name", [name for name, (_, texts, _) in CORPUS.items() if list(texts) == ["parameters"]])
@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF"])
def test_the_same_in_exif(service: Service, name: str, form: str) -> None:
    source, texts, expected = CORPUS[name]
    text = texts["parameters"] if isinstance(texts["parameters"], str) else json.dumps(texts["parameters"])
    found = service.read_picture(encode_image(Image.new("L", (8, 8)), format=form, infotext=text))
    assert found.source == source
    check(service, found.infotext or "", expected)


def test_every_request_a_picture_makes_is_valid_but_for_the_model(service: Service) -> None:
    """Nothing of what strangers write ends in anything but a request or one readable error."""
    for _, texts, _ in CORPUS.values():
        fields, _ = service.reuse(service.read_picture(png(texts)).infotext or "")
        request = service.request({**fields, "model": "shapes"})
        assert isinstance(request, Params)


# --- A1111's keys -------------------------------------------------------------------------------------------------

ELSEWHERE = {"Size", "Model hash", "Model", "Version"}
"""Written and read by gesso.pairs itself."""
APPLY = {
    *("Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "VAE hash", "VAE", "Variation seed"),
    *("Variation seed strength", "Seed resize from", "Denoising strength", "Conditional mask weight", "Clip skip"),
    *("ENSD", "RNG", "Tiling", "Eta", "Eta DDIM", "Sigma churn", "Sigma tmin", "Sigma tmax", "Sigma noise"),
    *("Schedule min sigma", "Schedule max sigma", "Schedule rho", "Beta schedule alpha", "Beta schedule beta"),
    *("Extra noise", "NGMS", "NGMS all steps", "Skip Early CFG", "Emphasis", "Old prompt editing timelines"),
    *("UniPC variant", "UniPC order", "UniPC lower order final", "Mask mode", "Mask blur", "Inpaint area"),
    *("Masked area padding", "Masked content", "Noise multiplier", "Soft inpainting enabled"),
}
"""A1111's keys whose features are here."""
BY_NOBODY_YET = {
    "Face restoration", "Image CFG scale", "Distilled CFG Scale", "FP8 weight", "Token merging ratio", "Hires upscale",
    "Hires resize", "Hires steps", "Hires upscaler", "Refiner", "Refiner switch at", "Lora hashes", "TI hashes",
    "Discard penultimate sigma", "SGM noise multiplier", "UniPC skip type", "VAE Encoder", "Init image hash", "User",
}  # fmt: skip
"""Keys of features that come with other distributions, or that no one has asked for: kept, and named."""


def test_every_key_of_a1111_that_applies_has_an_owner(service: Service) -> None:
    host = service.host
    slots = [item.options for name in ("samplers", "schedulers", "guiders") for item in host.registry(name)]
    claimed = {*CoreParams.infotext_keys()}
    for record in (*(item.params for item in host.registry("params")), *filter(None, slots)):
        claimed |= set(record.infotext_keys())
    assert APPLY - claimed == set()
    assert BY_NOBODY_YET & claimed == set(), "these have an owner among the built-ins now"


def test_keys_nobody_understands_are_kept_and_named(service: Service) -> None:
    text = "a fox\nSteps: 20, Seed: 1, CFG scale: 7, " + ", ".join(f"{key}: 1" for key in sorted(BY_NOBODY_YET))
    _, unknown = service.reuse(text)
    assert set(unknown) == BY_NOBODY_YET
    assert a1111_parameters(text)["Refiner"] == "1"
