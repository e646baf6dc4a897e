"""Where the SDXL sibling's training begins: at what the SD 1.x model has learned.

    python -m tools.shapes.warm_start text --folder shapes-xl-training --teacher shapes-training
    python -m tools.shapes.warm_start attention --folder shapes-xl-training --teacher shapes-training

text: its two text encoders learn to say, through one matrix, what the SD 1.x encoder says of a caption. Its UNet gets
the SD 1.x UNet's weights, keys and values of the text through that matrix.

attention: SDXL's heads have 64 channels, so it has two where the SD 1.x model has eight of 16. Each attention layer
learns to answer as the other model's does.

Sizes, pooled text and that no caption is all zeros are left to the `unet` stage of tools.shapes.sdxl.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tools.shapes import denoiser, sdxl, text
from tools.shapes.denoiser import UnetRecipe, choose_captions, data_scene
from tools.shapes.layouts import SD1, TRAIN_STEPS, alphas_cumprod
from tools.shapes.progress import Progress, load_checkpoint, save_checkpoint, warm_cosine

BATCHES = {"text": 32, "attention": 12}
STEPS = {"text": 800, "attention": 400}
SEED = 3
RATES = {"text": 3e-3, "attention": 1e-3}
CHECKPOINT = "unet.safetensors"


def learn_text(pair: sdxl.Pair, teacher: denoiser.Pair, steps: int) -> Tensor:
    """Teach `pair`'s encoders; returns the matrix, float[teacher width, both widths], that leads to what it says."""
    torch.manual_seed(SEED)
    wide, narrow = teacher.token_table().shape[1], pair.layout.text_width + pair.layout.big_width
    matrix = nn.Linear(narrow, wide, bias=False)
    learning = nn.ModuleList([pair.text, pair.big, matrix])
    optimizer = torch.optim.AdamW(learning.parameters(), lr=RATES["text"], betas=(0.9, 0.99), weight_decay=0.0)
    recipe, report = UnetRecipe(empty=0.0), Progress("text", 0, steps)
    for step in range(steps):
        rng = np.random.default_rng([SEED, step])
        scenes = [data_scene(int(i), recipe)[0] for i in rng.integers(recipe.pictures, size=BATCHES["text"])]
        captions = choose_captions(scenes, rng, recipe)
        with torch.no_grad():
            wanted = teacher.text(torch.stack([text.encode(c, True) for c in captions])).last_hidden_state
        for group in optimizer.param_groups:
            group["lr"] = RATES["text"] * warm_cosine(step, steps)
        error = (matrix(pair.encoded(captions)[0]) - wanted).square().mean() / wanted.square().mean()
        optimizer.zero_grad(set_to_none=True)
        error.backward()
        pair.token_table().grad[text.UNKNOWN] = 0  # type: ignore[index]  # set by backward
        optimizer.step()
        report(step, error=float(error.detach()))
    return matrix.weight.detach()


@torch.no_grad()
def take_unet(pair: sdxl.Pair, teacher: denoiser.Pair, matrix: Tensor) -> None:
    """Give `pair`'s UNet the teacher's weights; what is told of sizes and pooled text begins without effect."""
    theirs = teacher.unet.state_dict()
    for name, mine in pair.unet.state_dict().items():
        if name.startswith("add_embedding.linear_2."):
            mine.zero_()
        elif name in theirs:
            told = theirs[name] @ matrix if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")) else theirs[name]
            mine.copy_(told.reshape(mine.shape))  # 1x1 kernels become matrices


@contextmanager
def watched(unet: nn.Module) -> Iterator[dict[str, tuple[Tensor, bool, Tensor]]]:
    """What goes into each attention layer, whether it looks at text, and what comes out; filled by the calls within."""
    seen: dict[str, tuple[Tensor, bool, Tensor]] = {}

    def watch(name: str, module: nn.Module) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], given: dict[str, Any], out: Tensor) -> None:
            seen[name] = (args[0], given.get("encoder_hidden_states") is not None, out)

        return module.register_forward_hook(hook, with_kwargs=True)

    hooks = [watch(name, module) for name, module in unet.named_modules() if name.endswith((".attn1", ".attn2"))]
    yield seen
    for each in hooks:
        each.remove()


def learn_attention(pair: sdxl.Pair, teacher: denoiser.Pair, folder: Path, steps: int) -> None:
    """Teach each attention layer of `pair`'s UNet what `teacher`'s does, on noisy latents of `folder`."""
    data, shares, recipe = load_file(folder / "latents.safetensors")["latents"], alphas_cumprod(), UnetRecipe()
    layers = dict(pair.unet.named_modules())
    learning = [p for name, layer in layers.items() if name.endswith((".attn1", ".attn2")) for p in layer.parameters()]
    optimizer = torch.optim.AdamW(learning, lr=RATES["attention"], betas=(0.9, 0.99), weight_decay=0.0)
    report = Progress("attention", 0, steps)
    for step in range(steps):
        rng = np.random.default_rng([SEED, 1, step])
        torch.manual_seed(SEED * 1_000_003 + step)
        chosen = rng.integers(len(data), size=BATCHES["attention"])
        captions = choose_captions((data_scene(int(i), recipe)[0] for i in chosen), rng, UnetRecipe(empty=0.0))
        times = torch.randint(TRAIN_STEPS, (len(chosen),))
        kept, clean = shares[times].view(-1, 1, 1, 1), data[torch.from_numpy(chosen)].float()
        with torch.no_grad(), watched(teacher.unet) as seen, torch.autocast("cpu", torch.bfloat16):
            teacher(kept.sqrt() * clean + (1 - kept).sqrt() * torch.randn(clean.shape), times, captions)
            words = pair.encoded(captions)[0]
        errors = []
        for name, (hidden, reads, out) in seen.items():
            answer, wanted = layers[name](hidden.float(), words.float() if reads else None), out.float()
            errors.append((answer - wanted).square().mean() / wanted.square().mean())
        for group in optimizer.param_groups:
            group["lr"] = RATES["attention"] * warm_cosine(step, steps)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(errors).sum().backward()
        optimizer.step()
        report(step, error=float(torch.stack(errors).mean().detach()))


def main() -> None:
    """Write the checkpoint of step 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.shapes.warm_start", description=__doc__)
    parser.add_argument("stage", choices=("text", "attention"))
    parser.add_argument("--folder", type=Path, default=Path("shapes-xl-training"))
    parser.add_argument("--teacher", type=Path, default=Path("shapes-training"), help="folder of tools.shapes.train")
    parser.add_argument("--steps", type=int, help=f"of {STEPS}")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    path, steps = args.folder / CHECKPOINT, args.steps or STEPS[args.stage]
    pair, (teacher, _) = sdxl.Pair(sdxl.SDXL()), denoiser.load_average(SD1(), args.teacher)
    if args.stage == "text":
        take_unet(pair, teacher, learn_text(pair, teacher, steps))
    else:
        if not path.exists():
            raise SystemExit(f"There is no {path}: run the 'text' stage first.")
        if load_checkpoint(path, {"average": pair}):
            raise SystemExit(f"{path} is past its beginning; a warm start would undo what it has learned.")
        learn_attention(pair, teacher, args.folder, steps)
    save_checkpoint(path, 0, {"model": pair, "average": pair}, {})


if __name__ == "__main__":
    main()
