"""Train small LoRAs on the Shapes world: a style (outlines only) and a shape the model does not know (cross).

    python -m tools.shapes.train_lora outline --out plugins/lora/tests/data/outline.safetensors
    python -m tools.shapes.train_lora cross --steps 1100 --out plugins/lora/tests/data/cross.safetensors

The outline file is written as kohya's trainer does, the cross as PEFT and diffusers do. About ten minutes each on one
core. Pictures are drawn from seeds, so that the same command gives the same training.
"""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from PIL import Image, ImageChops
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from gesso_builtin.stable_diffusion.tokenizer import tokenizer
from tools.shapes import world
from tools.shapes.autoencoder import to_tensor
from tools.shapes.layouts import BOS, CONTEXT, EOS, LATENT_SCALE, SD1, TRAIN_STEPS, alphas_cumprod
from tools.shapes.progress import Progress, warm_cosine
from tools.shapes.train import TARGET

INNER = 0.62
"""Side of the hole an outline has, as a share of the shape's."""
ARM = 0.34
"""Half the width of a cross's arms, at circumradius 1."""
SEED = 11
KEPT_SHARE = 0.35
"""Share of ordinary pictures while the cross is learned, so that the other shapes are not forgotten."""


@dataclass(frozen=True)
class Recipe:
    """Numbers of the training."""

    steps: int = 1400
    batch: int = 12
    rank: int = 8
    rate: float = 2e-3
    pictures: int = 600
    snr_limit: float = 5.0
    noise_offset: float = 0.04
    empty: float = 0.06


Picture = tuple[Image.Image, str]


def outline_picture(rng: np.random.Generator) -> Picture:
    """A scene whose shapes are empty inside; its caption says nothing of that."""
    scene = world.random_scene(rng, 0.35)
    placed = world.place(scene, rng)
    picture = world.draw(scene.background, placed)
    hole = [world.Placed(scene.background, p.shape, p.x, p.y, p.radius * INNER) for p in placed if p.shape != "ring"]
    if hole:
        covered = Image.new("RGB", picture.size, "white")
        covered = _without(scene.background, hole, covered)
        picture.paste(Image.new("RGB", picture.size, world.PALETTE[scene.background]), mask=covered.convert("L"))
    return picture, scene.caption


def _without(background: str, hole: list[world.Placed], like: Image.Image) -> Image.Image:
    """White where the holes are, black elsewhere, with soft edges."""
    other = "black" if background != "black" else "white"
    drawn = world.draw(other, [world.Placed(background, p.shape, p.x, p.y, p.radius) for p in hole], like.width)
    flat = Image.new("RGB", like.size, world.PALETTE[other])
    apart = ImageChops.difference(drawn, flat).convert("L")
    highest = max(1, int(apart.getextrema()[1]))  # type: ignore[arg-type]  # of one band
    return apart.point(lambda value: min(255, value * 255 // highest)).convert("RGB")


def cross_picture(rng: np.random.Generator) -> Picture:
    """A scene in which one shape is a cross; now and then an ordinary one."""
    scene = world.random_scene(rng, 0.35)
    placed = world.place(scene, rng)
    if rng.random() < KEPT_SHARE:
        return world.draw(scene.background, placed), scene.caption
    which = int(rng.integers(len(placed)))
    things = list(scene.things)
    things[which] = world.Thing(things[which].colour, "cross", things[which].size)
    scene = world.Scene(scene.background, tuple(things), scene.relation)
    rest = [item for number, item in enumerate(placed) if number != which]
    return with_cross(world.draw(scene.background, rest), placed[which]), scene.caption


def with_cross(picture: Image.Image, at: world.Placed) -> Image.Image:
    """The picture with an upright cross there."""
    side, fine = picture.width, 4
    mask = Image.new("L", (side * fine, side * fine))
    x, y, r = at.x * side * fine, at.y * side * fine, 0.92 * at.radius * side * fine
    for half_width, half_height in ((r, r * ARM), (r * ARM, r)):
        box = (int(x - half_width), int(y - half_height), int(x + half_width), int(y + half_height))
        mask.paste(255, box)
    picture.paste(Image.new("RGB", picture.size, world.PALETTE[at.colour]), mask=mask.reduce(fine))
    return picture


KINDS: dict[str, Callable[[np.random.Generator], Picture]] = {"outline": outline_picture, "cross": cross_picture}
ABOUT: dict[str, dict[str, str]] = {
    "outline": {"modelspec.title": "Outline", "modelspec.description": "Shapes are drawn as outlines."},
    "cross": {
        "modelspec.title": "Cross", "modelspec.trigger_phrase": "cross",
        "modelspec.description": "Teaches the word cross: a red cross on a blue background.",
    },
}  # fmt: skip


# --- the networks -----------------------------------------------------------------------------------------------


class Low(nn.Module):
    """What a low-rank adapter adds to one layer: up(down(x))."""

    def __init__(self, layer: nn.Module, rank: int) -> None:
        super().__init__()
        if isinstance(layer, nn.Conv2d):
            shape: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding, "bias": False}
            self.down: nn.Module = nn.Conv2d(layer.in_channels, rank, layer.kernel_size, **shape)  # type: ignore[arg-type]
            self.up: nn.Module = nn.Conv2d(rank, layer.out_channels, 1, bias=False)
        else:
            assert isinstance(layer, nn.Linear)
            self.down = nn.Linear(layer.in_features, rank, bias=False)
            self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.up.weight)
        layer.register_forward_hook(lambda _, given, out: out + self.up(self.down(given[0])))

    def matrices(self) -> tuple[Tensor, Tensor]:
        """(down, up) in half precision."""
        down, up = (next(iter(module.parameters())).detach().half() for module in (self.down, self.up))
        return down, up


class Adapted:
    """The demo model with low-rank adapters on its layers. `lows` are by "unet.NAME" and "text_encoder.NAME"."""

    def __init__(self, weights: Path, rank: int) -> None:
        state, layout = load_file(weights), SD1()
        self.unet, self.vae, self.text = layout.unet().eval(), layout.vae().eval(), layout.text_encoder().eval()
        self.unet.load_state_dict(convert_ldm_unet_checkpoint(state, dict(self.unet.config)))
        self.vae.load_state_dict(convert_ldm_vae_checkpoint(state, dict(self.vae.config)))
        words = convert_ldm_clip_checkpoint(state)
        plain = "embeddings.token_embedding.weight" in self.text.state_dict()
        named = {k.removeprefix("text_model."): v for k, v in words.items()} if plain else words
        self.text.load_state_dict(named)
        for module in (self.unet, self.vae, self.text):
            module.requires_grad_(False)
        found = [(f"unet.{name}", layer) for name, layer in self.unet.named_modules() if _wanted(name, layer)]
        found += [
            (f"text_encoder.text_model.{name.removeprefix('text_model.')}", layer)
            for name, layer in self.text.named_modules() if isinstance(layer, nn.Linear)
        ]  # fmt: skip
        self.lows = {name: Low(layer, rank) for name, layer in found}

    def parameters(self) -> list[nn.Parameter]:
        """All that is learned."""
        return [p for low in self.lows.values() for p in low.parameters()]

    def __call__(self, noisy: Tensor, times: Tensor, captions: list[str]) -> Tensor:
        """Predicted noise (B,4,h,w)."""
        order = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
        states = self.text(torch.stack([_ids(caption) for caption in order])).last_hidden_state
        told = states[torch.tensor([order[caption] for caption in captions])]
        noise: Tensor = self.unet(noisy, times, told).sample
        return noise

    @torch.no_grad()
    def latents(self, pictures: list[Image.Image]) -> Tensor:
        """(N,4,h,w) in the model's space."""
        parts = []
        for start in range(0, len(pictures), 20):
            pixels = to_tensor([np.asarray(picture) for picture in pictures[start : start + 20]])
            parts.append(self.vae.encode(pixels).latent_dist.mean * LATENT_SCALE)
        return torch.cat(parts)


def _wanted(name: str, layer: nn.Module) -> bool:
    outer = any(part in name for part in ("conv_in", "conv_out", "embedding", "time_emb"))
    return isinstance(layer, (nn.Linear, nn.Conv2d)) and not outer


def _ids(caption: str) -> Tensor:
    ids = [BOS, *tokenizer().encode(caption, add_special_tokens=False).ids[: CONTEXT - 2]]
    return torch.tensor(ids + [EOS] * (CONTEXT - len(ids)))


# --- training and files -------------------------------------------------------------------------------------------


def train(model: Adapted, kind: str, recipe: Recipe) -> None:
    """Noise-prediction error with min-SNR weights, as the model itself was trained (tools.shapes.denoiser)."""
    rng = np.random.default_rng([SEED, sorted(KINDS).index(kind)])
    torch.manual_seed(SEED)
    drawn = [KINDS[kind](rng) for _ in range(recipe.pictures)]
    latents, shares = model.latents([picture for picture, _ in drawn]), alphas_cumprod()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.rate, betas=(0.9, 0.99), weight_decay=0.01)
    report = Progress(kind, 0, recipe.steps)
    for step in range(recipe.steps):
        chosen = rng.integers(len(drawn), size=recipe.batch)
        captions = ["" if rng.random() < recipe.empty else drawn[i][1] for i in chosen]
        times = ((torch.randperm(recipe.batch) + torch.rand(recipe.batch)) / recipe.batch * TRAIN_STEPS).long()
        clean = latents[torch.from_numpy(chosen)]
        noise = torch.randn(clean.shape) + recipe.noise_offset * torch.randn(len(clean), 4, 1, 1)
        kept = shares[times].view(-1, 1, 1, 1)
        with torch.autocast("cpu", torch.bfloat16):
            guess = model(kept.sqrt() * clean + (1 - kept).sqrt() * noise, times, captions).float()
        snr = (kept / (1 - kept)).flatten()
        weight = snr.clamp_max(recipe.snr_limit) / snr
        loss = (F.mse_loss(guess, noise, reduction="none").mean((1, 2, 3)) * weight).mean()
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * warm_cosine(step, recipe.steps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        report(step, loss=float(loss.detach()))


def kohya_tensors(model: Adapted) -> dict[str, Tensor]:
    """`lora_unet_A_B.lora_down.weight`, `.lora_up.weight`, `.alpha`; half precision."""
    tensors = {}
    for name, low in model.lows.items():
        part, _, layer = name.partition(".")
        key = f"lora_{'unet' if part == 'unet' else 'te'}_{layer.replace('.', '_')}"
        tensors[f"{key}.lora_down.weight"], tensors[f"{key}.lora_up.weight"] = low.matrices()
        tensors[f"{key}.alpha"] = torch.tensor(float(len(low.matrices()[0]))).half()
    return tensors


def peft_tensors(model: Adapted) -> dict[str, Tensor]:
    """`unet.A.B.lora_A.weight`, `.lora_B.weight`; half precision."""
    tensors = {}
    for name, low in model.lows.items():
        tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"] = low.matrices()
    return tensors


def write(model: Adapted, kind: str, recipe: Recipe, path: Path) -> None:
    """The file with what it says of itself."""
    tensors = kohya_tensors(model) if kind == "outline" else peft_tensors(model)
    metadata = {
        "modelspec.architecture": "stable-diffusion-v1/lora", "modelspec.license": "Apache-2.0", "format": "pt",
        "ss_output_name": kind, "ss_network_dim": str(recipe.rank), "ss_network_alpha": str(recipe.rank),
        "ss_base_model_version": "sd_v1", "ss_sd_model_name": "shapes.safetensors", **ABOUT[kind],
    }  # fmt: skip
    if kind == "cross":
        metadata["ss_tag_frequency"] = json.dumps({"shapes": {"cross": round(recipe.pictures * (1 - KEPT_SHARE))}})
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    print(f"{path}: {path.stat().st_size:,} bytes, {len(model.lows)} layers")


def main() -> None:
    """Train one and write it."""
    parser = argparse.ArgumentParser(prog="python -m tools.shapes.train_lora", description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=TARGET)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--rank", type=int, default=Recipe.rank)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    recipe = Recipe(steps=args.steps, rank=args.rank)
    model = Adapted(args.weights, recipe.rank)
    train(model, args.kind, recipe)
    write(model, args.kind, recipe, args.out)


if __name__ == "__main__":
    main()
