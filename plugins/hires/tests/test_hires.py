"""The second pass on the demo model: what it makes, what it costs, and that nothing of it stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gesso import InvalidInputError, UnknownNameError
from gesso_builtin.demo_model.judge import describe, judge

LATENT = ("Latent", "Latent (antialiased)", "Latent (bicubic)", "Latent (bicubic antialiased)", "Latent (nearest)",
          "Latent (nearest-exact)")  # fmt: skip
USUAL = {"steps": 16, "sampler": "dpmpp_2m", "width": 128, "height": 128}


def steps_of(made: Any) -> list[tuple[int, int]]:
    """(step, of how many) of every sampling step."""
    told = [e.data for e in made.events if e.kind == "progress" and e.data["stage"] == "sample"]
    return [(data["done"], data["total"]) for data in told]


def test_twice_the_size_obeys_with_a_second_pass_only(make: Any) -> None:
    captions = ["a large red star on a white background", "a green ring above a pink heart on a black background",
                "a blue square left of a yellow circle on a purple background"]  # fmt: skip
    right = {"second pass": 0, "alone": 0}
    for seed, caption in enumerate(captions):
        start = {**USUAL, "prompt": caption, "seed": seed}
        passed = make(**start, hires={"upscaler": "Lanczos", "strength": 0.4}).picture
        assert passed.size == (256, 256)
        right["second pass"] += judge(passed, caption).all
        if seed < 2:
            right["alone"] += judge(make(**{**start, "width": 256, "height": 256}).picture, caption).all
    assert right["second pass"] >= 2
    assert right["alone"] == 0


def test_switched_off_it_is_as_if_it_were_not_there(make: Any, without: Any) -> None:
    off = make(params={"hires": {"enabled": False, "scale": 3.0, "upscaler": "Lanczos"}})
    assert off.files == without().files
    make(hires={"scale": 1.5})
    assert without().files == off.files


def test_every_upscaler_makes_its_own_picture_again_and_again(make: Any) -> None:
    seen = {}
    for name in (*LATENT, "Lanczos", "Nearest"):
        made = make(hires={"upscaler": name, "scale": 1.5, "strength": 0.6})
        assert made.picture.size == (96, 96)
        assert make.again(made.infotexts[0]).files == made.files, name
        seen[name] = made.pixels.tobytes()
    # Enlarged by torch's bilinear, antialiasing has nothing to do.
    assert len({picture for name, picture in seen.items() if name != "Latent (antialiased)"}) == len(seen) - 1


def test_what_sticks_out_is_cut_off_in_the_middle(make: Any) -> None:
    for upscaler in ("Latent", "Lanczos"):
        whole = make(hires={"upscaler": upscaler, "scale": 2, "strength": 0}).pixels
        cut = make(hires={"upscaler": upscaler, "width": 128, "height": 64, "strength": 0}).pixels
        assert cut.shape == (64, 128, 3)
        # Away from the new edges, whose surroundings the decoder no longer sees.
        assert abs(cut[24:40].astype(int) - whole[56:72]).mean() < 12, upscaler


def test_steps_sampler_and_schedule_are_its_own(make: Any) -> None:
    made = make(
        hires={"scale": 1.5, "steps": 5, "sampler": "heun", "scheduler": "karras", "cfg_scale": 2, "strength": 0.5}
    )
    assert steps_of(made) == [(1, 2), (2, 2), *((n, 5) for n in range(1, 6))]
    assert (
        "Hires steps: 5, Hires upscaler: Latent, Hires CFG Scale: 2, Hires sampler: Heun, Hires schedule type: Karras"
        in (made.infotexts[0])
    )
    assert make.again(made.infotexts[0]).files == made.files


def colour(made: Any) -> str | None:
    return describe(made.picture).objects[0].colour


def test_prompts_are_its_own(make: Any) -> None:
    other = make(**USUAL, hires={"scale": 1.5, "strength": 0.95, "prompt": "a green circle on a blue background"})
    assert colour(other) == "green"
    assert make.again(other.infotexts[0]).files == other.files


def test_prompt_editing_goes_on_counting(make: Any) -> None:
    """As in A1111 the second pass is 1 to 2: what is to change at 1.0 has changed all through it."""
    prompt = "a [red:green:1.0] circle on a blue background"
    assert colour(make(**USUAL, prompt=prompt)) == "red"
    assert colour(make(**USUAL, prompt=prompt, hires={"scale": 1.5, "strength": 0.95})) == "green"


def test_a_picture_that_is_brought_is_enlarged_without_a_first_pass(make: Any) -> None:
    """By an upscaler of pixels it comes out as if both passes had been made at once."""
    hires = {"upscaler": "Lanczos", "scale": 1.5, "strength": 0.5}
    at_once = make(hires=hires)
    brought = make(hires={**hires, "picture": make.take(make().picture)}, width=128, height=128)
    assert brought.pixels.tobytes() == at_once.pixels.tobytes()
    assert steps_of(brought) == steps_of(at_once)[2:]
    latent = make(hires={"scale": 1.5, "picture": make.take(make().picture)}).picture
    assert latent.size == (96, 96)


def test_a_batch_changes_nothing(make: Any) -> None:
    hires = {"scale": 1.5, "upscaler": "Lanczos"}
    together = make(hires=hires, batch_size=2)
    assert [len(set(map(len, together.files))), len(together.files)] == [2, 2]
    alone = make(hires=hires, seed=8)
    second = type(alone)(together.files[1:], [], [])
    assert abs(second.pixels.astype(int) - alone.pixels).max() <= 2


@pytest.fixture
def bleached(make: Any) -> str:
    """A checkpoint that decodes and predicts otherwise."""
    source = make.service.library.find("shapes").path
    tensors = load_file(source)
    tensors["first_stage_model.decoder.conv_out.bias"] = torch.full((3,), 1.0).half()
    target = Path(make.service.paths.models, "checkpoints", "bleached.safetensors")
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target)
    make.service.library.entries(rescan=True)
    return "bleached"


def test_another_checkpoint(make: Any, bleached: str) -> None:
    hires = {"scale": 1.5, "strength": 0.5}
    plain, other = make(hires=hires), make(hires={**hires, "checkpoint": bleached})
    assert other.pixels.mean() > plain.pixels.mean() + 40, "it was not decoded by its own autoencoder"
    assert f"Hires checkpoint: {bleached} [" in other.infotexts[0]
    assert make.again(other.infotexts[0]).files == other.files
    assert make(hires=hires).files == plain.files


def test_what_cannot_be_is_said_before_the_job_is_queued(make: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"upscaler 'Lanzcos'.*Lanczos"):
        make(hires={"upscaler": "Lanzcos"})
    with pytest.raises(InvalidInputError, match="made from text alone"):
        picture = make.take(make().picture)
        make(params={"hires": {"enabled": True}, "img2img": {"init": picture}})
