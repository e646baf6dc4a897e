"""Golden latents: what the demo model's sampling ends in, for each sampler whose result must not drift.

    python tools/make_goldens.py            re-make tests/golden/latents.safetensors
    python tools/make_goldens.py --check    compare with it, print the largest difference of each

Re-make them when the demo model's weights change or a result is meant to change, and say so in the commit.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from gesso.engine.context import RunContext
from gesso.engine.control import Control
from gesso.engine.stages import resolve_order
from gesso.models.residency import Residency
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service

FILE = Path(__file__).resolve().parents[1] / "tests" / "golden" / "latents.safetensors"
TOLERANCE = 2e-3
"""Largest allowed difference of a latent value (of unit variance): what another processor's kernels may change."""
CASES: dict[str, dict[str, Any]] = {
    "euler": {"sampler": "euler"},
    "euler_ancestral": {"sampler": "euler_ancestral"},
    "dpmpp_2m": {"sampler": "dpmpp_2m"},
    "dpmpp_sde": {"sampler": "dpmpp_sde"},
    "dpmpp_2m_sgm_uniform": {"sampler": "dpmpp_2m", "scheduler": "sgm_uniform"},
    "euler_simple_cfg_1": {"sampler": "euler", "scheduler": "simple", "cfg_scale": 1},
    "euler_negative": {"sampler": "euler", "negative_prompt": "a green star"},
    "cfg_rescale": {"cfg_scale": 9, "params": {"guider": {"rescale": 0.7}}},
    "cfg_ngms": {"params": {"cfg_controls": {"min_sigma": 5, "all_steps": True}}},
    "cfg_skip_early": {"params": {"cfg_controls": {"skip_early": 0.4}}},
    "cfg_composable": {"prompt": "a red circle AND a blue background :0.7"},
    "clip_skip": {"params": {"clip_skip": {"layers": 2}}},
    "variation": {"params": {"variations": {"seed": 5, "strength": 0.3}}},
    "variation_resized": {"params": {
        "variations": {"seed": 5, "strength": 0.3, "resize_from_width": 96, "resize_from_height": 160},
    }},
    "rng_nv_sde": {"sampler": "dpmpp_sde", "params": {"noise_controls": {"source": "NV"}}},
    "ensd": {"sampler": "euler_ancestral", "params": {"noise_controls": {"ensd": 31337}}},
    "extra_noise": {"params": {"img2img": {"init": "init", "strength": 0.6}, "noise_controls": {"extra": 0.1}}},
    "img2img": {"params": {"img2img": {"init": "init", "strength": 0.6}}},
    "img2img_ddim": {"sampler": "ddim", "params": {"img2img": {"init": "init", "strength": 0.6}}},
    "img2img_latent_resize": {
        "params": {"img2img": {"init": "wide", "strength": 0.5, "resize_mode": "Just resize (latent upscale)"}}
    },
    "inpaint": {"params": {"img2img": {"init": "init", "strength": 0.8}, "inpaint": {"mask": "mask"}}},
    "inpaint_fill_only_masked": {"params": {
        "img2img": {"init": "init", "strength": 0.8},
        "inpaint": {"mask": "mask", "content": "fill", "area": "Only masked", "padding": 8},
    }},
    "inpaint_latent_noise": {"params": {
        "img2img": {"init": "init", "strength": 0.9}, "inpaint": {"mask": "mask", "content": "latent noise"},
    }},
    "soft_inpainting": {"params": {
        "img2img": {"init": "init", "strength": 0.8}, "inpaint": {"mask": "mask", "blur": 8},
        "soft_inpainting": {"enabled": True},
    }},
    "outpaint": {"params": {
        "img2img": {"init": "init", "strength": 0.9},
        "outpaint": {"enabled": True, "pixels": 32, "directions": ["left"]},
    }},
}  # fmt: skip
"""Fields of the request; where a record takes a picture stands the name of one of `pictures`."""
PROMPT = "a red circle on a blue background"


def pictures() -> dict[str, Image.Image]:
    """What the cases start from: drawn, so that no model has a part in them."""
    init = Image.new("RGB", (128, 128), (50, 80, 220))
    ImageDraw.Draw(init).ellipse((36, 36, 92, 92), fill=(220, 40, 40))
    mask = Image.new("L", (128, 128))
    ImageDraw.Draw(mask).rectangle((56, 24, 104, 104), fill=255)
    return {"init": init, "mask": mask, "wide": init.resize((192, 96))}


def latents() -> dict[str, torch.Tensor]:
    """The final latents (1,4,H,W) of every case on the demo model, CPU, fp32."""
    paths = Paths.of(tempfile.mkdtemp())
    host = Host.load("both", home=paths.home)
    service = Service(host, paths)
    residency = Residency(host, service.library, device="cpu", dtype="fp32")
    stored = {}
    for name, picture in pictures().items():
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        stored[name] = service.take_picture(buffer.getvalue()).model_dump()
    return {name: _final(service, residency, {**fields}, stored) for name, fields in CASES.items()}


def _final(service: Service, residency: Residency, fields: dict[str, Any], stored: dict[str, Any]) -> torch.Tensor:
    """What the stages before decoding leave."""
    fields["params"] = {
        section: {key: stored[value] if key in ("init", "mask") else value for key, value in data.items()}
        for section, data in fields.get("params", {}).items()
    }
    request = service.request(
        {"prompt": PROMPT, "seed": 1, "steps": 8, "cfg_scale": 4, "sampler": "euler", "model": "shapes", **fields}
    )
    ctx = RunContext(
        service.job(request), host=service.host, blobs=service.executor.blobs, residency=residency,
        emit=lambda *_: None, control=Control(),
    )  # fmt: skip
    order, problems = resolve_order(service.host.registry("stages"))
    assert not problems
    with ctx.resources:
        ctx.begin_batch([ctx.request.seed], 0)
        for stage in order:
            if stage.anchor in ("prepare", "load", "encode", "init", "sample", "refine"):
                stage.run.load()(ctx)
        assert ctx.latents is not None
        return ctx.latents.main.clone(memory_format=torch.contiguous_format)


def differences() -> dict[str, float]:
    """The largest absolute difference from the file, by case."""
    stored = load_file(FILE)
    made = latents()
    assert stored.keys() == made.keys(), "cases changed: re-make the file"
    return {name: float((made[name] - stored[name]).abs().max()) for name in made}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    if parser.parse_args().check:
        for name, value in differences().items():
            print(f"{'ok  ' if value <= TOLERANCE else 'FAIL'} {value:.2e} {name}")
        return
    save_file(latents(), FILE, metadata={"tolerance": str(TOLERANCE), "made_by": "python tools/make_goldens.py"})
    print(f"{FILE}: {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
