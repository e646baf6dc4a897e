"""Switching a LoRA on and off: gesso against diffusers with PEFT, in one run, on a UNet of 860 million random weights.

    python tools/random_checkpoint.py sd15 /tmp/sd15.safetensors
    pip install --no-deps --target /tmp/peft peft accelerate
    PYTHONPATH=/tmp/peft python -m benchmarks.lora /tmp/sd15.safetensors [--rounds 5] [--dtype fp16] [--threads 1]

The LoRA has rank 16 on every attention layer of the UNet, in a file both can read. A switch is: from the file to a
model that is changed by it, and back. Both can do it in two ways: *beside* the weights (diffusers: load_lora_weights,
set_adapters, unload_lora_weights) and *written* into them (diffusers: fuse_lora and unfuse_lora too). Prints JSON:
seconds and their ratio, the most anonymous memory either took beyond the model, and whether every weight was the same
to the bit afterwards. --step measures besides what each way costs in a step of the UNet (gesso's side).
Without PEFT, gesso's side alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmarks.load import DTYPES, Peak
from gesso import AdapterKeys, Prompt, patched
from gesso.models.adapters import find_adapter
from gesso.models.detect import detect
from gesso.models.headers import read_header
from gesso.models.loading import LoadOptions, load_model
from gesso.models.readers import SafetensorsReader
from gesso.plugins.host import Host
from gesso.testing.adapters import digests
from gesso.types import ModelRef

RANK = 16
ENDS = ("to_q", "to_k", "to_v", "to_out.0")


def write_lora(unet: torch.nn.Module, path: Path) -> int:
    """A random LoRA for every attention layer, as diffusers writes it; returns how many layers."""
    torch.manual_seed(0)
    tensors = {}
    for name, layer in unet.named_modules():
        if name.endswith(ENDS) and isinstance(layer, torch.nn.Linear):
            tensors[f"unet.{name}.lora_A.weight"] = torch.randn(RANK, layer.in_features).half() * 0.02
            tensors[f"unet.{name}.lora_B.weight"] = torch.randn(layer.out_features, RANK).half() * 0.02
    save_file(tensors, path)
    return len(tensors) // 2


def timed(on: Callable[[], Any], off: Callable[[Any], None], rounds: int) -> dict[str, Any]:
    """Median seconds of `on` and of `off`, which takes what `on` returned; the most memory beyond what was there."""
    seconds: dict[str, list[float]] = {"on": [], "off": []}
    extra = 0
    for number in range(rounds + 1):
        with Peak() as peak:
            started = time.perf_counter()
            state = on()
            between = time.perf_counter()
            off(state)
            ended = time.perf_counter()
        if number:  # the first is for imports and the file's pages
            seconds["on"].append(between - started)
            seconds["off"].append(ended - between)
            extra = max(extra, peak.highest - peak.before)
    on_, off_ = (statistics.median(seconds[name]) for name in ("on", "off"))
    return {"on_seconds": round(on_, 4), "off_seconds": round(off_, 4), "switch_seconds": round(on_ + off_, 4),
            "extra_bytes": extra}  # fmt: skip


def gesso_side(host: Host, model: Any, lora: Path, rounds: int, *, beside: bool, step: bool) -> dict[str, Any]:
    """As a job does it: the file is opened, recognised, looked up and applied; then all is undone."""
    before = digests(model)

    def on() -> Any:
        reader = SafetensorsReader(lora)
        adapter, _ = find_adapter(reader.header, host.registry("adapters"))
        patches = list(adapter.patches.load()(reader, AdapterKeys(model)))
        state = patched(model, [(patch, 1.0) for patch in patches], beside=beside)
        state.__enter__()
        return state

    found = timed(on, lambda state: state.__exit__(None, None, None), rounds)
    state = on()
    if step:
        found["step_seconds"] = step_seconds(model, rounds)
    state.__exit__(None, None, None)
    return {**found, "bit_identical_afterwards": digests(model) == before}


@torch.inference_mode()
def step_seconds(model: Any, rounds: int) -> float:
    """Median seconds of one call of the UNet for a picture of 256 × 256."""
    encode = model.family.encode_prompt.load()
    entry = encode(model, [Prompt.plain("a test")], size=(256, 256), role="positive", options={}).entries[0]
    x, found = torch.randn(1, 4, 32, 32), []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        model.family.predict.load()(model, x, 1.0, entry)
        found.append(time.perf_counter() - started)
    return round(statistics.median(found[1:]), 4)


def pipeline_of(file: Path, dtype: torch.dtype) -> Any:
    """diffusers' pipeline with the same UNet and nothing else."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    # The configuration of SD1's UNet is what diffusers' class has by default, but for the text's width.
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    unet.load_state_dict(convert_ldm_unet_checkpoint(load_file(file), dict(unet.config)))
    return StableDiffusionPipeline(
        vae=None, text_encoder=None, tokenizer=None, unet=unet.to(dtype).eval(), scheduler=DDIMScheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def diffusers_side(pipeline: Any, lora: Path, layers: int, rounds: int, *, fused: bool) -> dict[str, Any]:
    """Its own way, with or without writing into the weights."""
    unet = pipeline.unet
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}

    def on() -> None:
        pipeline.load_lora_weights(str(lora.parent), weight_name=lora.name, adapter_name="one")
        pipeline.set_adapters(["one"], [1.0])
        if fused:
            pipeline.fuse_lora(components=["unet"])

    def off(_: None) -> None:
        if fused:
            pipeline.unfuse_lora(components=["unet"])
        pipeline.unload_lora_weights()

    found = timed(on, off, rounds)
    on()
    loaded = sum(name.endswith("lora_A.one.weight") for name, _ in unet.named_parameters())
    off(None)
    assert loaded == layers, f"diffusers loaded {loaded} of {layers} layers"
    after = unet.state_dict()
    same = after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    return {**found, "bit_identical_afterwards": same}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="an SD1 checkpoint")
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="fp16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--step", action="store_true", help="measure what it costs in a step, too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    host, dtype = Host.load("both", probe=False), DTYPES[args.dtype]
    header = read_header(args.file)
    options = LoadOptions(torch.device("cpu"), dtype, dtype)
    reference = ModelRef(role="checkpoint", name=args.file.stem)
    match = detect(header, host, str(args.file))
    model = load_model(reference, SafetensorsReader(args.file, header), match, host, options)
    unet = model.parts["unet"].module
    with tempfile.TemporaryDirectory() as folder:
        lora = Path(folder, "lora.safetensors")
        layers = write_lora(unet, lora)
        result: dict[str, Any] = {
            "parameters": sum(p.numel() for p in unet.parameters()), "layers": layers, "rank": RANK,
            "dtype": args.dtype, "threads": args.threads, "gesso": {}, "diffusers": {}, "times_faster": {},
        }  # fmt: skip
        if args.step:
            result["step_seconds"] = step_seconds(model, args.rounds)
        pipeline = pipeline_of(args.file, dtype) if importlib.util.find_spec("peft") is not None else None
        for way in ("beside", "written"):
            result["gesso"][way] = ours = gesso_side(
                host, model, lora, args.rounds, beside=way == "beside", step=args.step
            )
            if pipeline is not None:
                theirs = diffusers_side(pipeline, lora, layers, args.rounds, fused=way == "written")
                result["diffusers"][way] = theirs
                result["times_faster"][way] = round(theirs["switch_seconds"] / ours["switch_seconds"], 2)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
