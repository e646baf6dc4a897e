"""Pictures as other programs write them. The texts follow each program's own writer; the pictures are made here."""

import gzip
import io
import json
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gesso import MetadataReader, ReadMetadataFn, Registrar, Registry, lazy
from gesso.metadata import MetadataError, encode_image, parse_infotext
from gesso.metadata import read_image_metadata as read_with
from gesso_builtin.foreign_metadata.plugin import gesso_register_metadata_readers

REGISTRY = Registry("metadata reader", MetadataReader)
gesso_register_metadata_readers(Registrar(REGISTRY, "foreign_metadata"))


def read_image_metadata(source, *, readers=(), **options):
    """As the service reads: with the plugin's readers."""
    return read_with(source, readers=(*REGISTRY, *readers), **options)


def png(texts, size=(64, 48)):
    info = PngInfo()
    for key, value in texts.items():
        info.add_text(key, value if isinstance(value, str) else json.dumps(value))
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def read(texts, **options):
    metadata = read_image_metadata(png(texts), **options)
    return metadata, parse_infotext(metadata.infotext or "")


# --- dialects of infotext ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "source"),
    [
        ("Version: v1.10.1", "a1111"),
        ("Version: f2.0.1v1.10.1-previous-665-gae278f79", "forge"),
        ("Version: neo", "forge"),
        ("App: SD.Next, Version: 8b73cb6, Pipeline: StableDiffusionXLPipeline, Operations: txt2img", "sdnext"),
        ('Civitai resources: [{"type":"checkpoint","modelVersionId":1}], Civitai metadata: {}', "civitai"),
        ("Version: gesso 0.1.0", "gesso"),
        ("Version: ComfyUI", "comfyui"),
        ("Model: x", "a1111"),
    ],
)
def test_dialects(end, source):
    text = f"a fox\nNegative prompt: b\nSteps: 20, Sampler: Euler, Seed: 1, {end}"
    metadata, info = read({"parameters": text})
    assert (metadata.infotext, metadata.source) == (text, source)
    assert info.params["Seed"] == "1"


# --- ComfyUI ----------------------------------------------------------------------------------------------------------


def comfy_graph():
    return {
        "3": {"class_type": "KSampler", "inputs": {
            "seed": 42, "steps": 25, "cfg": 6.5, "sampler_name": "dpmpp_2m_sde_gpu", "scheduler": "karras",
            "denoise": 1.0, "model": ["10", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sub\\model.v2.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox, running", "clip": ["10", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["10", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["8", 0]}},
        "10": {"class_type": "LoraLoader", "inputs": {
            "lora_name": "style.safetensors", "strength_model": 0.7, "strength_clip": 1.0,
            "model": ["4", 0], "clip": ["4", 1]}},
    }  # fmt: skip


def test_comfyui_graph():
    metadata, info = read({"prompt": comfy_graph(), "workflow": {"nodes": []}})
    assert metadata.source == "comfyui"
    assert info.prompt == "a fox, running<lora:style:0.7>"
    assert info.negative_prompt == "blurry"
    assert info.params == {
        "Steps": "25", "Sampler": "DPM++ 2M SDE", "Schedule type": "Karras", "CFG scale": "6.5", "Seed": "42",
        "Size": "512x768", "Model": "model.v2",
    }  # fmt: skip
    assert json.loads(metadata.items["prompt"]) == comfy_graph()  # the original stays


def test_comfyui_second_pass_tells_of_the_first():
    graph = comfy_graph()
    graph["20"] = {"class_type": "KSampler", "inputs": graph["3"]["inputs"] | {
        "steps": 10, "seed": 7, "denoise": 0.4, "latent_image": ["21", 0]}}  # fmt: skip
    graph["21"] = {"class_type": "LatentUpscale", "inputs": {"width": 1024, "height": 1536, "samples": ["3", 0]}}
    graph["8"]["inputs"]["samples"] = ["20", 0]
    _, info = read({"prompt": graph})
    assert (info.params["Seed"], info.params["Size"], info.params["Steps"]) == ("42", "512x768", "25")


def test_comfyui_flux_with_custom_sampler_and_primitive_nodes():
    graph = {
        "1": {"class_type": "SamplerCustomAdvanced", "inputs": {
            "noise": ["2", 0], "guider": ["3", 0], "sampler": ["4", 0], "sigmas": ["5", 0], "latent_image": ["6", 0]}},
        "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": ["11", 0]}},
        "3": {"class_type": "BasicGuider", "inputs": {"model": ["7", 0], "conditioning": ["8", 0]}},
        "4": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "5": {"class_type": "BasicScheduler", "inputs": {
            "scheduler": "simple", "steps": 20, "denoise": 0.8, "model": ["7", 0]}},
        "6": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 1024, "height": 832, "batch_size": 1}},
        "7": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.sft", "weight_dtype": "default"}},
        "8": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["9", 0]}},
        "9": {"class_type": "CLIPTextEncode", "inputs": {"text": ["10", 0], "clip": ["12", 0]}},
        "10": {"class_type": "PrimitiveString", "inputs": {"value": "a heron"}},
        "11": {"class_type": "PrimitiveInt", "inputs": {"value": 99}},
        "12": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": "t5", "clip_name2": "l", "type": "flux"}},
        "13": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }  # fmt: skip
    _, info = read({"prompt": graph})
    assert (info.prompt, info.negative_prompt) == ("a heron", "")
    assert info.params == {
        "Steps": "20", "Sampler": "Euler", "Schedule type": "Simple", "Distilled CFG Scale": "3.5", "Seed": "99",
        "Size": "1024x832", "Model": "flux1-dev", "Denoising strength": "0.8",
    }  # fmt: skip


def test_comfyui_zeroed_conditioning_is_an_empty_negative():
    graph = comfy_graph()
    graph["7"] = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["6", 0]}}
    assert read({"prompt": graph})[1].negative_prompt == ""


def test_comfyui_webp_has_its_graph_in_exif():
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + json.dumps(comfy_graph())
    exif[0x010F] = "workflow:{}"
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "WEBP", exif=exif)
    metadata = read_image_metadata(buffer.getvalue())
    assert (metadata.source, sorted(metadata.items)) == ("comfyui", ["prompt", "workflow"])


def test_comfyui_graph_with_a_circle_and_of_great_length():
    graph = {str(i): {"class_type": "N", "inputs": {"a": [str(i + 1), 0], "b": ["0", 0]}} for i in range(20_000)}
    graph["5"]["inputs"] |= {"positive": ["6", 0], "steps": 3}
    graph["7"]["inputs"] |= {"text": ["7", 0]}
    assert read({"prompt": graph})[1].params["Steps"] == "3"


# --- SwarmUI, InvokeAI, NovelAI ---------------------------------------------------------------------------------------

SWARM = {
    "sui_image_params": {
        "prompt": "a castle", "negativeprompt": "fog", "model": "SDXL/base_1.0.safetensors", "seed": 5, "steps": 30,
        "cfgscale": 7.0, "width": 1024, "height": 832, "sampler": "euler_ancestral", "scheduler": "exponential",
        "loras": ["folder/detail"], "loraweights": ["0.65"], "clipstopatlayer": -2, "swarm_version": "0.9.3.1",
    },
    "sui_extra_data": {"date": "2025-01-25"},
    "sui_models": [{"name": "base_1.0.safetensors", "param": "model", "hash": "0xd7a9"}],
}  # fmt: skip
SWARM_PARAMS = {
    "Steps": "30", "Sampler": "Euler a", "Schedule type": "Exponential", "CFG scale": "7", "Seed": "5",
    "Size": "1024x832", "Model": "base_1.0", "Clip skip": "2",
}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 4])
def test_swarmui(indent):
    metadata, info = read({"parameters": json.dumps(SWARM, indent=indent)})
    assert metadata.source == "swarmui"
    assert (info.prompt, info.negative_prompt, info.params) == ("a castle<lora:detail:0.65>", "fog", SWARM_PARAMS)
    assert json.loads(metadata.items["parameters"]) == SWARM


def test_swarmui_jpeg():
    data = encode_image(Image.new("RGB", (8, 8)), format="JPEG", infotext=json.dumps(SWARM, indent=2))
    assert read_image_metadata(data).source == "swarmui"


def test_invokeai():
    metadata, info = read({"invokeai_metadata": {
        "app_version": "3.3.0post3", "generation_mode": "txt2img", "positive_prompt": "landscape",
        "negative_prompt": "low quality", "width": 768, "height": 432, "seed": 356120443, "rand_device": "cpu",
        "cfg_scale": 7.5, "steps": 50, "scheduler": "dpmpp_2m_sde_k", "clip_skip": 1,
        "model": {"model_name": "amixx", "base_model": "sd-1"}, "vae": {"model_name": "mse", "base_model": "sd-1"},
        "loras": [{"lora": {"model_name": "old"}, "weight": 0.5}, {"model": {"name": "new"}, "weight": 1}],
    }})  # fmt: skip
    assert metadata.source == "invokeai"
    assert (info.prompt, info.negative_prompt) == ("landscape<lora:old:0.5><lora:new:1>", "low quality")
    assert info.params == {
        "Steps": "50", "Sampler": "DPM++ 2M SDE", "Schedule type": "Karras", "CFG scale": "7.5", "Seed": "356120443",
        "Size": "768x432", "Model": "amixx", "VAE": "mse", "Clip skip": "2",
    }  # fmt: skip


NOVELAI = {
    "Description": "1girl, {smile}",
    "Software": "NovelAI",
    "Source": "Stable Diffusion F1022D28",
    "Comment": json.dumps({
        "steps": 28, "sampler": "k_euler_ancestral", "seed": 3, "strength": 0.69, "scale": 11.0, "uc": "lowres",
        "noise_schedule": "native",
    }),
}  # fmt: skip
NOVELAI_PARAMS = {
    "Steps": "28", "Sampler": "Euler a", "CFG scale": "11", "Seed": "3", "Size": "64x48", "Denoising strength": "0.69",
    "Clip skip": "2", "ENSD": "31337",
}  # fmt: skip


def test_novelai():
    metadata, info = read(NOVELAI)
    assert metadata.source == "novelai"
    assert (info.prompt, info.negative_prompt, info.params) == ("1girl, {smile}", "lowres", NOVELAI_PARAMS)


def test_novelai_as_one_text():
    metadata, info = read({"parameters": json.dumps(NOVELAI)})
    assert (metadata.source, info.params) == ("novelai", NOVELAI_PARAMS)


# --- stealth ----------------------------------------------------------------------------------------------------------


def hide(text, *, alpha=True, compress=True, length=None, size=(64, 48)):
    """A picture with `text` in its lowest bits, bit by bit as the format describes it."""
    image = Image.new("RGBA" if alpha else "RGB", size, (120, 130, 140, 255)[: 4 if alpha else 3])
    payload = gzip.compress(text.encode()) if compress else text.encode()
    signature = f"stealth_{'png' if alpha else 'rgb'}{'comp' if compress else 'info'}".encode()
    stream = signature + (len(payload) * 8 if length is None else length).to_bytes(4, "big") + payload
    bits = iter([byte >> shift & 1 for byte in stream for shift in range(7, -1, -1)])
    pixels = image.load()
    for x in range(size[0]):
        for y in range(size[1]):
            values = list(pixels[x, y])
            for band in [3] if alpha else [0, 1, 2]:
                values[band] = values[band] & ~1 | next(bits, 0)
            pixels[x, y] = tuple(values)
    return image


@pytest.mark.parametrize("alpha", [True, False])
@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("name", ["PNG", "WEBP"])
def test_stealth_on_request(alpha, compress, name):
    text = "a fox, ü\nSteps: 20, Sampler: Euler, Seed: 1"
    buffer = io.BytesIO()
    hide(text, alpha=alpha, compress=compress).save(buffer, name, lossless=True, exact=True)
    assert read_image_metadata(buffer.getvalue()).infotext is None
    assert read_image_metadata(buffer.getvalue(), stealth=True).infotext == text


def test_stealth_of_novelai():
    data = encode_image(hide(json.dumps(NOVELAI)))
    assert read_image_metadata(data, stealth=True).source == "novelai"


@pytest.mark.parametrize(
    "picture", [Image.new("RGB", (1, 1)), Image.new("RGBA", (64, 64)), Image.new("L", (9, 9), 255)]
)
def test_stealth_finds_nothing_where_nothing_is(picture):
    assert read_image_metadata(encode_image(picture), stealth=True).infotext is None


def test_stealth_hostile():
    with pytest.raises(MetadataError, match="length cannot be right"):
        read_image_metadata(encode_image(hide("x", length=2**32 - 8)), stealth=True)
    bomb = hide("x" * 2**25, size=(640, 480))
    with pytest.raises(MetadataError, match="grows beyond"):
        read_image_metadata(encode_image(bomb), stealth=True)
    whole = encode_image(hide("x"))
    with pytest.raises(MetadataError, match="cannot be decoded"):
        read_image_metadata(whole[: len(whole) // 2], stealth=True)


# --- strangers --------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["steps", "seed", "model", "loras", "positive", "negative", "text", "width", "height", "sampler_name"]
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(FIELDS, JSON, max_size=6), JSON)
def test_unexpected_shapes_never_raise(fields, other):
    graph = {
        "1": {"class_type": other, "inputs": fields},
        "2": {"class_type": "N", "inputs": {"a": ["1", 0], "positive": other}},
    }
    for texts in (
        {"prompt": graph},
        {"prompt": other},
        {"parameters": {"sui_image_params": fields}},
        {"invokeai_metadata": fields},
        {"Software": "NovelAI", "Comment": fields},
        {"parameters": {"Software": "NovelAI", "Comment": json.dumps(fields), "Description": other}},
    ):
        read_image_metadata(png(texts))


def test_infinite_sizes_are_no_sizes():
    text = '{"sui_image_params": {"width": Infinity, "height": 1e999, "prompt": "p"}}'
    assert read({"parameters": text})[0].infotext == text


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{broken", '{"sui_image_params": 3}'])
def test_broken_json_stays_a_text(text):
    assert read({"parameters": text})[0].infotext == text
    assert read({"prompt": text})[0].infotext is None


def test_a_prompt_that_begins_like_json():
    text = "{red|blue} fox\nSteps: 1, Sampler: Euler, Seed: 2"
    assert read({"parameters": text})[0].infotext == text


def test_a_plugins_reader(monkeypatch):
    def mine(items, size):
        return f"from {items['mine']}, {size[0]}" if "mine" in items else None

    def broken(items, size):
        raise RuntimeError("of all things")

    monkeypatch.setitem(sys.modules, "elsewhere", SimpleNamespace(broken=broken, mine=mine))
    readers = [MetadataReader(name=name, read=lazy(f"elsewhere:{name}", ReadMetadataFn)) for name in ("broken", "mine")]
    metadata, _ = read({"mine": "here"}, readers=readers)
    assert (metadata.source, metadata.infotext) == ("mine", "from here, 64")
