"""The latents and denoiser stages: UNet and text encoder trained together on stored latents of drawn pictures."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from tools.shapes import text, world
from tools.shapes.autoencoder import load_vae, to_tensor
from tools.shapes.group import gather, join_group, share_gradients
from tools.shapes.layouts import SD1, TRAIN_STEPS, alphas_cumprod
from tools.shapes.muon import Muon
from tools.shapes.progress import Progress, load_checkpoint, save_checkpoint, write_tensors


@dataclass(frozen=True)
class UnetRecipe:
    """Numbers of the denoiser's training; `decay_share` of the steps at the end bring the rate down to zero."""

    steps: int = 5300
    batch: int = 32
    rate: float = 1e-3
    muon_rate: float = 2e-3
    optimizer: str = "muon"
    warm: int = 200
    decay_share: float = 0.26
    ema: float = 0.999
    snr_limit: float = 5.0
    noise_offset: float = 0.04
    empty: float = 0.10
    unknown: float = 0.03
    pictures: int = 20_000
    pair_share: float = 0.65
    seed: int = 2


def data_scene(index: int, recipe: UnetRecipe) -> tuple[world.Scene, int]:
    """Scene and drawing seed of the data set's picture `index`."""
    rng = np.random.default_rng([recipe.seed, 7, index])
    return world.random_scene(rng, recipe.pair_share), int(rng.integers(2**31))


@torch.inference_mode()
def store_latents(layout: SD1, folder: Path, recipe: UnetRecipe, device: str = "cpu", batch: int = 25) -> None:
    """Draw and encode the data set into `folder`/latents.safetensors: float16[n, 4, 16, 16] and channel statistics.

    Goes on where an earlier run stopped. The statistics come from the first part and then stay, as the denoiser's
    training depends on them.
    """
    rank, ranks = join_group()
    vae, path = load_vae(layout, folder, device), folder / "latents.safetensors"
    stored = load_file(path) if path.exists() else {}
    first, part = len(stored.get("latents", ())) // (batch * ranks), []
    report = Progress("latents", first, recipe.pictures // (batch * ranks), checkpoint_every=30)
    for step in range(first, report.total):
        offset = (step * ranks + rank) * batch
        chosen = (data_scene(offset + i, recipe) for i in range(batch))
        pictures = to_tensor([np.asarray(world.render(scene, seed)) for scene, seed in chosen]).to(device)
        with torch.autocast(device, torch.bfloat16):
            part.append(gather(vae.encode(pictures).latent_dist.mean.float().cpu(), ranks))
        if rank == 0 and report(step):
            new, part = torch.cat(part), []
            if "mean" not in stored:
                stored = {"mean": new.mean((0, 2, 3)), "std": new.std((0, 2, 3)), "latents": new[:0].half()}
            scaled = (new - stored["mean"][:, None, None]) / stored["std"][:, None, None]
            stored["latents"] = torch.cat([stored["latents"], scaled.half()])
            write_tensors(path, stored)


class Pair(nn.Module):
    """The UNet and the text encoder as one module, so that one optimizer, one average and one checkpoint hold both."""

    def __init__(self, layout: SD1) -> None:
        super().__init__()
        self.unet: UNet2DConditionModel = layout.unet()
        self.text: CLIPTextModel = layout.text_encoder(text.SMALL)
        with torch.no_grad():
            self.token_table()[text.UNKNOWN] = 0
        # Torch's fused attention is slow backwards with heads this narrow; plain products train half again as fast.
        self.unet.set_attn_processor(AttnProcessor())
        self.text.set_attn_implementation("eager")

    def token_table(self) -> Tensor:
        """The token embedding, float[text.SMALL, width]."""
        table: Tensor = self.text.get_input_embeddings().weight
        return table

    def varied(self, clean: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The batch as it is trained on, and what `forward` is told of each picture besides: here nothing."""
        return clean, {}

    def forward(self, noisy: Tensor, times: Tensor, captions: list[str]) -> Tensor:
        """Predicted noise, float[batch, 4, h, w]. Each different caption is encoded once."""
        order = {c: i for i, c in enumerate(dict.fromkeys(captions))}
        ids = torch.stack([text.encode(c, True) for c in order]).to(noisy.device)
        states = self.text(ids).last_hidden_state[torch.tensor([order[c] for c in captions], device=noisy.device)]
        noise: Tensor = self.unet(noisy, times, states).sample
        return noise


def make_optimizers(model: Pair, recipe: UnetRecipe, rank: int, ranks: int) -> dict[str, torch.optim.Optimizer]:
    """AdamW over everything, or Muon for hidden matrices and kernels with AdamW for the rest."""
    settings: dict[str, Any] = {"lr": recipe.rate, "betas": (0.9, 0.99), "weight_decay": 0.01}
    if recipe.optimizer == "adamw":
        return {"adam": torch.optim.AdamW(model.parameters(), **settings)}
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, p in model.named_parameters():
        outer = any(part in name for part in ("conv_in", "conv_out", "embedding", "time_emb"))
        (rest if p.ndim < 2 or outer else hidden).append(p)
    muon = Muon(hidden, recipe.muon_rate, rank=rank, ranks=ranks)
    return {"muon": muon, "adam": torch.optim.AdamW(rest, **settings)}


def rate_factor(step: int, recipe: UnetRecipe) -> float:
    """Linear warm-up, a plateau, and a linear fall to zero at the end."""
    rise = (step + 1) / recipe.warm
    fall = (recipe.steps - step) / max(1.0, recipe.decay_share * recipe.steps)
    return max(0.0, min(1.0, rise, fall))


def choose_captions(scenes: Iterable[world.Scene], rng: np.random.Generator, recipe: UnetRecipe) -> list[str]:
    """One training caption for each scene: mostly whole, sometimes partial, empty, or with a word nobody knows."""
    captions = []
    for scene in scenes:
        caption, draw = world.training_caption(scene, rng), rng.random()
        if draw < recipe.empty:
            caption = ""
        elif draw < recipe.empty + recipe.unknown:
            words = caption.split()
            words.insert(int(rng.integers(len(words) + 1)), "?")
            caption = " ".join(words)
        captions.append(caption)
    return captions


def denoising_loss(
    model: Pair, clean: Tensor, captions: list[str], recipe: UnetRecipe, shares: Tensor, part: slice
) -> Tensor:
    """Noise-prediction error with min-SNR weights (Hang et al. 2023, arXiv:2303.09556) at stratified times.

    Every process draws the noise of the whole batch and computes its own `part`, so the number of processes does not
    change what is learned.
    """
    clean, told = model.varied(clean)
    count = len(clean)
    spread = (torch.randperm(count) + torch.rand(count)) / count
    times = (spread * TRAIN_STEPS).long().clamp_max(TRAIN_STEPS - 1)
    noise = torch.randn(clean.shape) + recipe.noise_offset * torch.randn(count, 4, 1, 1)
    clean, captions, times, noise = clean[part], captions[part], times[part], noise[part]
    kept = shares[times].view(-1, 1, 1, 1)
    noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
    device = next(model.parameters()).device
    told = {name: values[part].to(device) for name, values in told.items()}
    with torch.autocast(device.type, torch.bfloat16):
        guess = model(noisy.to(device), times.to(device), captions, **told).float()
    snr = (kept / (1 - kept)).flatten()
    weight = (snr.clamp_max(recipe.snr_limit) / snr).to(device)
    return (F.mse_loss(guess, noise.to(device), reduction="none").mean((1, 2, 3)) * weight).mean()


def train_unet(
    layout: SD1,
    folder: Path,
    recipe: UnetRecipe,
    device: str = "cpu",
    stop: int | None = None,
    kind: type[Pair] = Pair,
) -> None:
    """Train, or go on training, `folder`/unet.safetensors (raw weights, moving average and moments)."""
    rank, ranks = join_group()
    data = load_file(folder / "latents.safetensors")["latents"]
    scenes = [data_scene(i, recipe)[0] for i in range(len(data))]
    torch.manual_seed(recipe.seed)
    model, average = kind(layout).to(device).train(), kind(layout).to(device)
    average.load_state_dict(model.state_dict())
    optimizers = make_optimizers(model, recipe, rank, ranks)
    path, modules = folder / "unet.safetensors", {"model": model, "average": average}
    start = load_checkpoint(path, modules, optimizers)
    end, part = stop or recipe.steps, slice(rank, None, ranks)
    shares, report = alphas_cumprod(), Progress("unet", start, end)
    for step in range(start, end):
        rng = np.random.default_rng([recipe.seed, 8, step])
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        chosen = rng.integers(len(data), size=recipe.batch)
        captions = choose_captions((scenes[i] for i in chosen), rng, recipe)
        for group in (g for each in optimizers.values() for g in each.param_groups):
            group["lr"] = group.setdefault("full_lr", group["lr"]) * rate_factor(step, recipe)
        loss = denoising_loss(model, data[torch.from_numpy(chosen)].float(), captions, recipe, shares, part)
        model.zero_grad(set_to_none=True)
        loss.backward()
        share_gradients(model, ranks)
        model.token_table().grad[text.UNKNOWN] = 0  # type: ignore[index]  # set by backward
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for each in optimizers.values():
            each.step()
        with torch.no_grad():
            keep = min(recipe.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
        if rank == 0 and report(step, loss=float(loss.detach())):
            save_checkpoint(path, step + 1, modules, optimizers)


def load_average(layout: SD1, folder: Path, kind: type[Pair] = Pair) -> tuple[Pair, int]:
    """The moving average of the trained weights and the step it was taken at."""
    average = kind(layout)
    step = load_checkpoint(folder / "unet.safetensors", {"average": average})
    if not step:
        raise FileNotFoundError(f"no denoiser in {folder}: run the 'unet' stage first")
    return average.eval(), step
