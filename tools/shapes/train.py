"""Train the Shapes model, stage by stage: vae, latents, unet, decoder, export. Each goes on where it was stopped."""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from tools.shapes.autoencoder import VaeRecipe, polish_decoder, train_vae
from tools.shapes.denoiser import UnetRecipe, store_latents, train_unet
from tools.shapes.export import export
from tools.shapes.layouts import LAYOUTS

TARGET = Path("builtin_extensions/gesso_builtin/demo_model/shapes.safetensors")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.shapes.train", description=__doc__)
    parser.add_argument("stage", choices=("vae", "latents", "unet", "decoder", "export", "all"))
    parser.add_argument("--folder", type=Path, default=Path("shapes-training"), help="checkpoints and latents")
    parser.add_argument("--layout", choices=sorted(LAYOUTS), default="sd1")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, help="denoiser steps (the rate falls to zero at the last)")
    parser.add_argument("--decay-share", type=float, help="share of the steps, at the end, over which the rate falls")
    parser.add_argument("--stop", type=int, help="stop the denoiser here and leave the rest for later")
    parser.add_argument("--optimizer", choices=("adamw", "muon"))
    parser.add_argument("--target", type=Path, default=TARGET, help="file that export writes")
    return parser.parse_args()


def main() -> None:
    """Run one stage, or all."""
    args = _options()
    torch.set_num_threads(args.threads)
    layout = LAYOUTS[args.layout]()
    chosen = {k: v for k in ("steps", "optimizer", "decay_share") if (v := getattr(args, k)) is not None}
    recipe = replace(UnetRecipe(), **chosen)
    if args.stage in ("vae", "all"):
        train_vae(layout, args.folder, VaeRecipe(), args.device)
    if args.stage == "latents" or (args.stage == "all" and not (args.folder / "latents.safetensors").exists()):
        store_latents(layout, args.folder, recipe, args.device)
    if args.stage in ("unet", "all"):
        train_unet(layout, args.folder, recipe, args.device, args.stop)
    if args.stage in ("decoder", "all"):
        polish_decoder(layout, args.folder, VaeRecipe(), args.device)
    if args.stage in ("export", "all"):
        export(layout, args.folder, args.target)


if __name__ == "__main__":
    main()
