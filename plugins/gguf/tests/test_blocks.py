"""Every block type gives what gguf-py gives, to the bit."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf import quants

from gesso_gguf.blocks import DECODERS
from gesso_gguf.header import FORMATS, SIZES, TYPES


def test_every_type_gguf_py_decodes_is_read() -> None:
    assert set(FORMATS) == set(DECODERS) == {kind.name for kind in quants._type_traits} - {"BF16"}
    assert {int(kind): (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()} == TYPES


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("kind", FORMATS)
def test_values_are_those_of_the_reference(kind: str) -> None:
    """Any bytes are legal blocks; scales of 0, infinity and NaN are among them."""
    values, size = SIZES[kind]
    raw = np.random.default_rng(7).integers(0, 256, (300, size), dtype=np.uint8)
    raw[0], raw[1] = 0, 255
    wanted = quants.dequantize(raw, Kind[kind]).reshape(300, values)
    found = DECODERS[kind](torch.from_numpy(raw)).numpy()
    np.testing.assert_array_equal(found, wanted)
    assert (
        np.array_equal(found.view(np.uint32)[found != 0], wanted.view(np.uint32)[wanted != 0]) or np.isnan(found).any()
    )


def test_the_page_says_so() -> None:
    from tools import gguf_table

    assert gguf_table.PAGE.read_text(encoding="utf-8") == gguf_table.page(), "stale: run python tools/gguf_table.py"
