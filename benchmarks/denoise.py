"""gesso against diffusers' StableDiffusionPipeline: same weights, dtype, sampler and steps, in one run.

    python benchmarks/denoise.py [--model FILE] [--steps 20] [--repeats 7]

Prints JSON: seconds per image of both and their ratio, and what each spends outside the network, per step and per
image, measured by replacing the UNet with a stub that costs nothing. The two take turns, so that a busy machine slows
both.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextModel

from gesso.engine.blobs import MemoryBlobs
from gesso.engine.run import run_job
from gesso.models.model import Model
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service
from gesso.types import Job

PROMPT = "a red circle on a blue background"


class Gesso:
    """A job through the engine, as the inline executor runs it."""

    def __init__(self, model: str, dtype: str) -> None:
        self.host = Host.load("both")
        self.service = Service(self.host, Paths.of())
        self.model_name, self.dtype = model, dtype
        from gesso.models.residency import Residency

        self.residency = Residency(self.host, self.service.library, device="cpu", dtype=dtype)
        self.blobs = MemoryBlobs()

    def model(self) -> Model:
        return self.residency.acquire(self.service.library.ref(self.model_name))

    def job(self, steps: int) -> Job:
        fields = {
            "prompt": PROMPT,
            "model": self.model_name,
            "steps": steps,
            "sampler": "dpmpp_2m",
            "scheduler": "karras",
        }
        return self.service.job(self.service.request({**fields, "seed": 1, "cfg_scale": 4}))

    def run(self, job: Job) -> None:
        run_job(job, self.blobs, lambda event: None, host=self.host, residency=self.residency)


class Diffusers:
    """The pipeline around the very same modules."""

    def __init__(self, model: Model) -> None:
        from transformers import CLIPTokenizer

        scheduler = DPMSolverMultistepScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", use_karras_sigmas=True, solver_order=2
        )
        self.pipe = StableDiffusionPipeline(
            vae=model.vae.module, text_encoder=_text_model(model), tokenizer=_tokenizer(CLIPTokenizer),
            unet=model.parts["unet"].module, scheduler=scheduler, safety_checker=None, feature_extractor=None,
            requires_safety_checker=False,
        )  # fmt: skip
        self.pipe.set_progress_bar_config(disable=True)
        self.size = model.defaults.width, model.defaults.height

    def run(self, steps: int) -> None:
        image = self.pipe(
            PROMPT, num_inference_steps=steps, guidance_scale=4, width=self.size[0], height=self.size[1],
            generator=torch.Generator().manual_seed(1),
        ).images[0]  # fmt: skip
        image.save(io.BytesIO(), "PNG")


def _text_model(model: Model) -> CLIPTextModel:
    """transformers' own class around gesso's weights."""
    from transformers import CLIPTextConfig

    component = model.text["clip_l"]
    made = CLIPTextModel(CLIPTextConfig(**component.config))
    target = getattr(made, "text_model", made)
    target.load_state_dict(component.module.state_dict())
    return made.to(component.dtype).eval()


def _tokenizer(kind: Any) -> Any:
    """transformers' CLIP tokenizer from the vocabulary gesso ships."""
    import tempfile

    from gesso_builtin.stable_diffusion.tokenizer import vocabulary

    tokens, merges = vocabulary()
    folder = Path(tempfile.mkdtemp())
    (folder / "vocab.json").write_text(json.dumps(tokens))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges))
    return kind(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


class Stub(torch.nn.Module):
    """Answers at once with the sample itself."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.config, self.dtype, self.device, self.add_embedding = unet.config, unet.dtype, unet.device, None

    def forward(self, sample: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor]:
        return (sample,)


def in_turns(
    ours: Callable[[], None], theirs: Callable[[], None], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float]:
    """Best seconds of each, taking turns; the best of several is what the code costs, the rest is the machine."""
    ours(), theirs()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for call, kept in zip((ours, theirs), times, strict=True):
            started = clock()
            call()
            kept.append(clock() - started)
    return min(times[0]), min(times[1])


def overhead(gesso: Gesso, diffusers: Diffusers, model: Model, repeats: int) -> dict[str, float]:
    """CPU milliseconds per step and per image outside the UNet, from runs of 10 and 60 stubbed steps on one thread.

    An image's share still holds text encoding, VAE decoding and PNG writing, which `shared_work` measures.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    unet = model.parts["unet"].module
    stub = Stub(unet)
    model.parts["unet"].module = stub
    diffusers.pipe.unet = stub
    try:
        few, many = 10, 60
        jobs = {n: gesso.job(n) for n in (few, many)}
        results: dict[int, tuple[float, float]] = {
            n: in_turns(lambda n=n: gesso.run(jobs[n]), lambda n=n: diffusers.run(n), repeats, time.process_time)
            for n in (few, many)
        }
        shared = shared_work(model, repeats)
    finally:
        torch.set_num_threads(threads)
        model.parts["unet"].module = unet
        diffusers.pipe.unet = unet
    step = [(results[many][i] - results[few][i]) / (many - few) for i in (0, 1)]
    image = [results[few][i] - few * step[i] for i in (0, 1)]
    return {
        "gesso_ms_per_step": step[0] * 1e3, "diffusers_ms_per_step": step[1] * 1e3,
        "gesso_ms_per_image": image[0] * 1e3 - shared, "diffusers_ms_per_image": image[1] * 1e3 - shared,
        "shared_ms_per_image": shared,
    }  # fmt: skip


def shared_work(model: Model, repeats: int) -> float:
    """Milliseconds of an image's work that neither side can avoid: two prompts encoded, one VAE decode, one PNG."""
    latents = torch.randn(1, 4, model.defaults.height // 8, model.defaults.width // 8)
    ids = torch.full((1, 77), 49407)

    @torch.inference_mode()
    def work() -> None:
        model.text["clip_l"].module(input_ids=ids)
        model.text["clip_l"].module(input_ids=ids)
        pixels = model.vae.module.decode(latents.to(model.vae.dtype), return_dict=False)[0]
        picture = ((pixels[0] + 1) * 127.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(picture).save(io.BytesIO(), "PNG")

    work()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--dtype", default="fp32")
    args = parser.parse_args()
    gesso = Gesso(args.model, args.dtype)
    model = gesso.model()
    diffusers = Diffusers(model)
    job = gesso.job(args.steps)
    ours, theirs = in_turns(lambda: gesso.run(job), lambda: diffusers.run(args.steps), args.repeats)
    outside = {k: round(v, 3) for k, v in overhead(gesso, diffusers, model, args.repeats).items()}
    report = {
        "steps": args.steps, "dtype": args.dtype, "model": model.ref.name, "threads": torch.get_num_threads(),
        "gesso_seconds": round(ours, 4), "diffusers_seconds": round(theirs, 4), "ratio": round(ours / theirs, 3),
        "outside_the_unet_cpu_ms": outside,
    }  # fmt: skip
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
