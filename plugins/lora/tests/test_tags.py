"""The grammar of tags, and strengths over the steps."""

from __future__ import annotations

import pytest

from gesso import InvalidInputError
from gesso_lora.tags import Strength, Tag, split


def constant(value: float) -> Strength:
    return Strength(((0.0, value),))


@pytest.mark.parametrize(
    ("tag", "text", "denoiser", "rank"),
    [
        ("<lora:ink>", 1, 1, None),
        ("<lora:ink:0.5>", 0.5, 0.5, None),
        ("<lora:ink:0.5:0.8>", 0.5, 0.8, None),
        ("<lora:ink:0.5:0.8:4>", 0.5, 0.8, 4),
        ("<lora:ink:te=0>", 0, 0, None),  # A1111's rule: the denoiser's is that of the text encoder
        ("<lora:ink:unet=0.3>", 1, 0.3, None),
        ("<lora:ink:te=0:unet=1:dyn=8>", 0, 1, 8),
        ("<lora:ink:0.5:unet=-1.5>", 0.5, -1.5, None),
        ("<lyco:ink:.5>", 0.5, 0.5, None),
    ],
)
def test_tags(tag: str, text: float, denoiser: float, rank: int | None) -> None:
    assert split(f"a cat, {tag} on a mat") == (
        "a cat,  on a mat", [Tag("ink", constant(text), constant(denoiser), rank)]
    )  # fmt: skip


def test_several_and_what_is_none() -> None:
    prompt, tags = split("<lora:one:1><lora:sub/two three:0.2>(<hypernet:x:1>)")
    assert prompt == "(<hypernet:x:1>)"
    assert [tag.name for tag in tags] == ["one", "sub/two three"]


@pytest.mark.parametrize("tag", ["<lora:>", "<lora:ink:much>", "<lora:ink:nan>", "<lora:ink:1e9>", "<lora:ink:1:1:few>",
                                 "<lora:ink:1,2>", "<lora:ink:1@-1>"])  # fmt: skip
def test_what_is_no_tag_says_how_one_is_written(tag: str) -> None:
    with pytest.raises(InvalidInputError, match=r"<lora:name:0\.8>"):
        split(f"a cat {tag}")


def test_strengths_over_the_steps() -> None:
    rising = Strength.read("0@0, 1@0.5")
    assert [rising.at(step, 8) for step in range(8)] == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
    by_steps = Strength.read("1@2,0@4")
    assert [by_steps.at(step, 6) for step in range(6)] == pytest.approx([1, 1, 1, 0.5, 0, 0])
    assert (Strength.read("-2@0,1@1").highest, Strength.read("0.7").is_constant) == (-2, True)
