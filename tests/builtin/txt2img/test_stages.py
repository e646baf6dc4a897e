"""The stages of a plain generation, one by one."""

from __future__ import annotations

import pytest
from PIL import Image

from gesso import InvalidInputError, Output
from gesso_builtin.txt2img import stages


class Context:
    """The few things these stages look at before the engine is needed."""

    class job:  # noqa: N801 - stands for an attribute
        model = None

    latents = None
    outputs: list[Output] = []  # noqa: RUF012


def test_a_job_without_a_model_is_one_error() -> None:
    with pytest.raises(InvalidInputError, match="names no model"):
        stages.load(Context())  # type: ignore[arg-type]


def test_nothing_sampled_is_nothing_decoded() -> None:
    context = Context()
    stages.decode(context)  # type: ignore[arg-type]
    assert context.outputs == []


def test_an_output_is_a_picture_with_its_seed() -> None:
    output = Output(kind="image", data=Image.new("RGB", (8, 8)), index=3, seed=9)
    assert (output.kind, output.index, output.seed, output.file, output.pairs) == ("image", 3, 9, None, {})
