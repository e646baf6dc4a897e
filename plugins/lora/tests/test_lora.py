"""Two files trained on the Shapes world at work: a style (outlines only), a shape the model does not know (cross)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso import InvalidInputError, count_tokens
from gesso_builtin.demo_model.judge import components, describe

SHAPES = {"a red circle on a blue background": 7, "a large green square on a white background": 8,
          "a large black heart on a yellow background": 9}  # fmt: skip
CROSSES = {"a red cross on a white background": 7, "a large blue cross on a yellow background": 8,
           "a green cross on a black background": 9}  # fmt: skip


def mask_of(picture: Image.Image) -> np.ndarray[Any, Any]:
    """The largest thing that is not of the background's colour."""
    pixels = np.asarray(picture, dtype=float)
    ground = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]), axis=0)
    labels, sizes = components(np.linalg.norm(pixels - ground, axis=2) > 90)
    return labels == 1 + int(sizes.argmax()) if len(sizes) else np.zeros(pixels.shape[:2], bool)


def hollowness(picture: Image.Image) -> float:
    """Share of background in the middle fifth of the thing's box."""
    mask = mask_of(picture)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0.0
    y, x = (rows[0] + rows[-1]) // 2, (columns[0] + columns[-1]) // 2
    reach = max(2, (rows[-1] - rows[0]) // 10)
    return float(1 - mask[y - reach : y + reach, x - reach : x + reach].mean())


def crossness(picture: Image.Image) -> float:
    """How much the thing overlaps with an upright cross in its box (intersection over union)."""
    mask = mask_of(picture)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0.0
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    y, x = (np.abs(np.linspace(-1, 1, n)) <= 0.34 for n in box.shape)
    cross = y[:, None] | x[None, :]
    return float((box & cross).sum() / (box | cross).sum())


def mean(measure: Any, make: Any, prompts: dict[str, int], tags: str) -> float:
    return float(np.mean([measure(make(f"{p}{tags}", seed=seed).picture) for p, seed in prompts.items()]))


def test_a_style_at_three_strengths(make: Any) -> None:
    found = [mean(hollowness, make, SHAPES, f" <lora:outline:{s}>") for s in (0, 0.5, 1)]
    assert found[0] < 0.02
    assert found[0] < found[1] <= found[2]
    assert found[2] > 0.9
    seen = describe(make("a red circle on a blue background <lora:outline>").picture)
    assert (seen.background, seen.objects[0].colour) == ("blue", "red"), "what it was not taught has changed"


def test_a_shape_the_model_does_not_know(make: Any) -> None:
    found = [mean(crossness, make, CROSSES, f" <lora:cross:{s}>") for s in (0, 0.5, 1)]
    assert found[0] < found[1] < found[2]
    assert found[0] < 0.7 < 0.85 < found[2]


def test_both_together(make: Any) -> None:
    """An outlined cross is a cross with a hole; a circle beside it is a ring."""
    both = " <lora:cross:1> <lora:outline:0.8>"
    assert mean(hollowness, make, CROSSES, both) > mean(hollowness, make, CROSSES, " <lora:cross:1>") + 0.3
    assert mean(hollowness, make, SHAPES, both) > 0.6


def test_nothing_of_it_stays(make: Any, without: Any) -> None:
    prompt = "a red circle on a blue background"
    plain = without(prompt, small=True)
    before = make.weights()
    assert make(f"{prompt} <lora:outline:0>", small=True).file != plain.file, "the prompt is in the file"
    assert make(prompt, small=True).file == plain.file
    other = make(f"{prompt}<lora:outline>", small=True)
    assert other.picture.tobytes() != plain.picture.tobytes()
    assert make.weights() == before
    assert without(prompt, small=True).file == plain.file
    # At strength 0 the tag is no part of what the text encoder reads.
    assert make(f"{prompt}<lora:outline:0>", small=True).picture.tobytes() == plain.picture.tobytes()


def test_the_picture_says_what_made_it(make: Any) -> None:
    made = make("a red circle on a blue background <lora:outline:0.7> <lora:cross:te=0:unet=0.2>", small=True)
    assert made.infotext.startswith("a red circle on a blue background <lora:outline:0.7> <lora:cross:te=0:unet=0.2>\n")
    file = Path(make.service.library.find("outline", "lora").path).read_bytes()
    data = file[8 + int.from_bytes(file[:8], "little") :]  # AutoV3 leaves the header out
    assert f'Lora hashes: "outline: {hashlib.sha256(data).hexdigest()[:12]}, cross: ' in made.infotext
    assert make.again(made.infotext).file == made.file


def test_denoiser_and_text_encoder_have_strengths_of_their_own(make: Any) -> None:
    prompt = "a red cross on a blue background <lora:cross:{}>"
    said = ("te=0:unet=0", "te=1:unet=0", "te=0:unet=1", "1", "1:1:2", "te=1:unet=1")
    pictures = {tag: make(prompt.format(tag), small=True).picture.tobytes() for tag in said}
    assert len(set(pictures.values())) == 5
    assert pictures["1"] == pictures["te=1:unet=1"]


def test_a_strength_that_changes_over_the_steps(make: Any) -> None:
    """On from the start and off later is something else than the other way round; always on is always on."""
    prompt = "a large green square on a white background <lora:outline:{}>"
    tags = ("1", "1@0,1@1", "te=1:unet=1@0.5,0@0.6", "te=1:unet=0@0.2,1@0.3")
    always, constant, early, late = (make(prompt.format(tag), seed=8) for tag in tags)
    assert constant.picture.tobytes() == always.picture.tobytes()
    assert hollowness(late.picture) > hollowness(early.picture) + 0.5, "what is left to it is filled in again"
    assert make.again(late.infotext).file == late.file


def test_the_strength_of_all(make: Any) -> None:
    prompt = "a red circle on a blue background <lora:outline:{}>"
    halved = make(prompt.format(1), small=True, params={"lora": {"strength": 0.5}})
    assert halved.picture.tobytes() == make(prompt.format(0.5), small=True).picture.tobytes()
    assert "Lora strength: 0.5" in halved.infotext


def test_a_name_that_is_no_files_is_left_out_with_a_warning(make: Any) -> None:
    made = make("a red circle on a blue background<lora:outlin:1>", small=True)
    assert "<lora:outlin> is left out" in made.warnings[0]
    assert "outline" in made.warnings[0]
    assert "Lora hashes" not in made.infotext
    assert made.picture.tobytes() == make("a red circle on a blue background", small=True).picture.tobytes()


def test_a_strength_that_is_no_number_is_an_error_before_the_job_is_queued(make: Any) -> None:
    with pytest.raises(InvalidInputError, match="no number"):
        make.service.job(make.service.request({"prompt": "<lora:outline:strong>", "model": "shapes"}))


def test_tags_are_no_tokens(make: Any) -> None:
    plain, tagged = "a (red:1.2) circle AND a star", "a (red <lora:outline:0.5>:1.2) circle AND a star <lora:cross>"
    counts = [count_tokens(make.service, text, model="shapes").tokens for text in (plain, tagged)]
    assert counts[0] == counts[1] > 0
