"""The autoencoder stage: learn 128x128x3 -> 4x16x16 -> 128x128x3, then store the latents of a drawn data set."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

from tools.shapes import world
from tools.shapes.group import join_group, share_gradients
from tools.shapes.layouts import SD1
from tools.shapes.progress import Progress, load_checkpoint, save_checkpoint, warm_cosine


@dataclass(frozen=True)
class VaeRecipe:
    """Crops come first because they are cheap; the last `fine_steps` see whole pictures at full size."""

    steps: int = 1080
    fine_steps: int = 120
    batch: int = 32
    rate: float = 1.5e-3
    noise: float = 0.12
    decoder_steps: int = 400
    decoder_rate: float = 8e-4
    seed: int = 1


def to_tensor(pictures: list[np.ndarray]) -> Tensor:
    """uint8 HWC pictures -> float[batch, 3, H, W] in -1..1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def _crops(rng: np.random.Generator, count: int) -> Tensor:
    pictures = []
    for index in range(count):
        scene, seed = world.random_scene(rng, 0.5), int(rng.integers(2**31))
        if index % 2:
            pictures.append(np.asarray(world.render(scene, seed, 64)))
        else:
            x, y = rng.integers(0, 65, size=2)
            pictures.append(np.asarray(world.render(scene, seed, 128))[y : y + 64, x : x + 64])
    return to_tensor(pictures)


def _whole(rng: np.random.Generator, count: int) -> Tensor:
    scenes = (world.random_scene(rng, 0.5) for _ in range(count))
    return to_tensor([np.asarray(world.render(s, int(rng.integers(2**31)))) for s in scenes])


def _slopes(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def losses(vae: AutoencoderKL, pictures: Tensor, noise: float, align: float) -> tuple[Tensor, float]:
    """Total loss, and the plain mean squared error for the log.

    The latent's first three channels are pulled to the colour means of their cells, which makes learning quick and the
    latents easy to denoise; noise on the latents makes the decoder forgiving and keeps the latents from growing finer
    than the denoiser can follow (it stands in for the KL term).
    """
    means = vae.encode(pictures).latent_dist.mean.float()
    decoded = vae.decode(means + noise * torch.randn_like(means)).sample.float()
    error = decoded - pictures
    edges = sum((a - b).abs().mean() for a, b in zip(_slopes(decoded), _slopes(pictures), strict=True))
    colour = (means[:, :3] - 1.4 * F.avg_pool2d(pictures, 8)).square().mean()
    square = error.square().mean()
    total = error.abs().mean() + square + 0.7 * edges + align * colour + 2e-3 * means.square().mean()
    return total, float(square.detach())


def train_vae(layout: SD1, folder: Path, recipe: VaeRecipe, device: str = "cpu") -> None:
    """Train, or go on training, the autoencoder in `folder`/vae.safetensors."""
    torch.manual_seed(recipe.seed)
    vae = layout.vae().to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=recipe.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    path, total = folder / "vae.safetensors", recipe.steps + recipe.fine_steps
    start = load_checkpoint(path, {"vae": vae}, {"adam": optimizer})
    report = Progress("vae", start, total)
    for step in range(start, total):
        rng = np.random.default_rng([recipe.seed, step])
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        fine = step >= recipe.steps
        pictures = (_whole(rng, recipe.batch // 4) if fine else _crops(rng, recipe.batch)).to(device)
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * warm_cosine(step, total)
        with torch.autocast(device, torch.bfloat16):
            loss, square = losses(vae, pictures, recipe.noise, align=0.05 if step > 400 else 0.5)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        if report(step, loss=float(loss.detach()), mse=square):
            save_checkpoint(path, step + 1, {"vae": vae}, {"adam": optimizer})


def polish_decoder(layout: SD1, folder: Path, recipe: VaeRecipe, device: str = "cpu") -> None:
    """Train the decoder alone for crisper edges, into `folder`/decoder.safetensors.

    The encoder stays as it is, so latents and a denoiser trained on them stay valid. Picture sizes alternate, which
    makes the decoder as good at sizes it was not made for.
    """
    rank, ranks = join_group()
    vae, path = load_vae(layout, folder, device, polished=False), folder / "decoder.safetensors"
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    learning = nn.ModuleList([vae.decoder.train(), vae.post_quant_conv])
    optimizer = torch.optim.AdamW(learning.parameters(), lr=recipe.decoder_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    start = load_checkpoint(path, {"vae": vae}, {"adam": optimizer})
    report = Progress("decoder", start, recipe.decoder_steps)
    for step in range(start, recipe.decoder_steps):
        rng = np.random.default_rng([recipe.seed, 9, step, rank])
        torch.manual_seed((recipe.seed * 1_000_003 + step) * 64 + rank)
        size, count = ((64, 16), (128, 4), (96, 7))[step % 3]
        scenes = [world.random_scene(rng, 0.65) for _ in range(max(1, 2 * count // ranks))]
        pictures = to_tensor([np.asarray(world.render(s, int(rng.integers(2**31)), size)) for s in scenes]).to(device)
        for group in optimizer.param_groups:
            group["lr"] = recipe.decoder_rate * warm_cosine(step, recipe.decoder_steps, floor=0.01)
        with torch.autocast(device, torch.bfloat16):
            loss, square = losses(vae, pictures, 0.7 * recipe.noise, align=0.0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        share_gradients(learning, ranks)
        torch.nn.utils.clip_grad_norm_(learning.parameters(), 1.0)
        optimizer.step()
        if rank == 0 and report(step, loss=float(loss.detach()), mse=square):
            save_checkpoint(path, step + 1, {"vae": vae}, {"adam": optimizer})


def load_vae(layout: SD1, folder: Path, device: str = "cpu", polished: bool = True) -> AutoencoderKL:
    """The trained autoencoder of `folder`, with its polished decoder if there is one, in evaluation mode."""
    vae = layout.vae()
    names = ("decoder.safetensors", "vae.safetensors") if polished else ("vae.safetensors",)
    if not any(load_checkpoint(folder / name, {"vae": vae}) for name in names):
        raise FileNotFoundError(f"no autoencoder in {folder}: run the 'vae' stage first")
    return vae.to(device, memory_format=torch.channels_last).eval()
