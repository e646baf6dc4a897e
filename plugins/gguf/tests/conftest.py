"""GGUF files written by gguf-py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

Write = Callable[..., Path]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write(path: Path, tensors: dict[str, tuple[np.ndarray, Kind]], **entries: object) -> Path:
    """Weights and the types they are stored in. A convolution is flattened, and its shape noted, as converters do."""
    writer = gguf.GGUFWriter(path, "test")
    for key, value in entries.items():
        name = key.replace("__", ".")
        writer.add_array(name, value) if isinstance(value, list) else writer.add_string(name, str(value))
    for name, (values, kind) in tensors.items():
        block, _ = gguf.GGML_QUANT_SIZES[kind]
        if block > 1 and values.ndim > 2:
            writer.add_array(f"comfy.gguf.orig_shape.{name}", list(values.shape))
            values = values.reshape(-1, block) if values[0].size % block else values.reshape(len(values), -1)
        data = values.astype(np.float16) if kind == Kind.F16 else gguf.quants.quantize(values, kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="session", name="write")
def _write() -> Write:
    return write
