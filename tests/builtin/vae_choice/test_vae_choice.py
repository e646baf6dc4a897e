"""Another autoencoder for a job: its effect, its name in the picture, and the model as it was afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import gesso_builtin.demo_model.plugin
from gesso import BadFileError, UnknownNameError
from gesso_builtin.stable_diffusion.vae_keys import vae_target
from gesso_builtin.vae_choice.plugin import VaeChoice

DEMO_FILE = Path(gesso_builtin.demo_model.plugin.__file__).with_name("shapes.safetensors")
PREFIX = "first_stage_model."


@pytest.fixture(scope="module")
def own() -> dict[str, torch.Tensor]:
    """The demo model's VAE."""
    return {k.removeprefix(PREFIX): v for k, v in load_file(DEMO_FILE).items() if k.startswith(PREFIX)}


@pytest.fixture(scope="module")
def folder(demo: Any, own: dict[str, torch.Tensor]) -> Iterator[Path]:
    """VAEs in the models folder: one that sees the world in pink, the same in diffusers' names, and wrong files."""
    models = demo.service.paths.models
    pink = {**own, "decoder.conv_out.bias": own["decoder.conv_out.bias"] + torch.tensor([0.4, 0, 0])}
    levels = len({name.split(".")[2] for name in own if name.startswith("decoder.up.")})
    diffusers = {vae_target(name, levels): tensor for name, tensor in pink.items()}
    assert {"decoder.mid_block.resnets.0.conv1.weight", "encoder.down_blocks.2.resnets.0.conv1.weight"} <= set(
        diffusers
    )
    wide = {**own, "decoder.conv_in.weight": torch.zeros(64, 16, 3, 3)}
    lora = {"lora_unet_x.lora_down.weight": torch.zeros(4, 4)}
    files = {"pink": pink, "in_diffusers_names": diffusers, "sixteen": wide, "a_lora": lora}
    (models / "vae").mkdir(parents=True, exist_ok=True)
    for name, tensors in files.items():
        save_file({k: v.contiguous() for k, v in tensors.items()}, models / "vae" / f"{name}.safetensors")
    demo.service.library.entries("vae", rescan=True)
    yield models
    shutil.rmtree(models)
    demo.service.library.entries("vae", rescan=True)


def chosen(name: str) -> dict[str, Any]:
    return {"params": {"vae_choice": {"vae": name}}}


def test_it_decodes_and_the_models_own_is_back_afterwards(demo: Any, folder: Path) -> None:
    before = demo.make()
    model = demo.service.executor.residency.loaded()[0]
    vae, weights = model.vae, {k: v.clone() for k, v in model.vae.module.state_dict().items()}
    made = demo.make(**chosen("pink"))
    more_red = made.picture.astype(int) - before.picture
    assert more_red[..., 0].mean() > 20
    assert abs(more_red[..., 1:].mean()) < 5
    assert model.vae is vae
    assert all(torch.equal(v, weights[k]) for k, v in model.vae.module.state_dict().items())
    assert demo.make().files == before.files
    none = demo.make(**chosen("None"))
    assert np.array_equal(none.picture, before.picture)
    assert "VAE: None, RNG" in none.infotexts[0]


def test_the_picture_names_it_and_is_made_again(demo: Any, folder: Path) -> None:
    made = demo.make(**chosen("pink"))
    hash_ = made.job.components["vae"].hash
    assert len(hash_) == 64
    assert f"VAE hash: {hash_[:10]}, VAE: pink.safetensors, RNG" in made.infotexts[0]
    assert demo.again(made.infotexts[0]).files == made.files


@pytest.mark.parametrize("name", ["pink.safetensors", "PINK"])
def test_it_is_found_by_other_spellings(demo: Any, folder: Path, name: str) -> None:
    assert demo.job(**chosen(name)).components["vae"].name == "pink"


def test_it_is_found_by_its_hash_alone(demo: Any, folder: Path) -> None:
    hash_ = demo.job(**chosen("pink")).components["vae"].hash
    given = VaeChoice.from_infotext({"VAE hash": hash_[:10]})
    assert demo.job(params={"vae_choice": given}).components["vae"].name == "pink"


def test_diffusers_names_are_the_same_vae(demo: Any, folder: Path) -> None:
    assert np.array_equal(demo.make(**chosen("in_diffusers_names")).picture, demo.make(**chosen("pink")).picture)


def test_automatic_takes_the_one_that_is_called_like_the_model(demo: Any, folder: Path) -> None:
    (folder / "checkpoints").mkdir(exist_ok=True)
    shutil.copy(DEMO_FILE, folder / "checkpoints" / "mine.safetensors")
    shutil.copy(folder / "vae" / "pink.safetensors", folder / "vae" / "minerals.safetensors")
    demo.service.library.entries("vae", rescan=True)
    assert "vae" not in demo.job(model="mine").components
    shutil.copy(folder / "vae" / "pink.safetensors", folder / "checkpoints" / "mine.vae.safetensors")
    demo.service.library.entries("vae", rescan=True)
    assert demo.job(model="mine").components["vae"].name == "mine.vae"
    assert "vae" not in demo.job(model="mine", **chosen("None")).components
    assert demo.job(model="mine", **chosen("pink")).components["vae"].name == "pink"
    assert "vae" not in demo.job(model="shapes").components
    assert [e.name for e in demo.service.library.entries("checkpoint") if e.state != "ok"] == []


def test_a_wrong_file_says_what_it_is(demo: Any, folder: Path, own: Any, tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=r"a_lora\.safetensors is a LoRA, not a VAE\."):
        demo.job(**chosen("a_lora"))
    with pytest.raises(BadFileError, match=r"shapes\.safetensors is a checkpoint, not a VAE\."):
        demo.job(**chosen(str(DEMO_FILE)))
    torch.save(own, tmp_path / "old.pt")
    with pytest.raises(BadFileError, match="pickle"):
        demo.job(**chosen(str(tmp_path / "old.pt")))
    with pytest.raises(BadFileError, match=r"16 latent channels; Stable Diffusion 1\.x has 4"):
        demo.make(**chosen("sixteen"))
    assert demo.make().picture.std() > 5


def test_an_unknown_name_lists_near_ones(demo: Any, folder: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown VAE 'pinc'\. Did you mean 'pink'"):
        demo.job(**chosen("pinc"))


def test_what_the_page_offers(demo: Any, folder: Path) -> None:
    from gesso_builtin.vae_choice.choices import vaes

    offered = [value for _, value in vaes(demo.service)]
    assert offered[:2] == ["Automatic", "None"]
    assert "pink" in offered
    assert "a_lora" not in offered
