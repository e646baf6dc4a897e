"""Reads the tensors of a GGUF file, mapped and not copied."""

from __future__ import annotations

from typing import BinaryIO

import torch

from gesso import Header, MappedReader, TensorInfo, Weight

from .header import SIZES, read_open_header


class GgufReader(MappedReader):
    """A GGUF file. Blocks come as bytes, by the weight's rows where its rows are whole blocks."""

    def read_header(self, file: BinaryIO) -> Header:
        return read_open_header(self.path, file)

    def weight(self, name: str, info: TensorInfo, buffer: memoryview | bytearray) -> Weight:
        values, _ = SIZES[info.format]
        if values == 1 or info.end == info.start:
            return super().weight(name, info, buffer)
        data = torch.frombuffer(buffer, dtype=torch.uint8)
        row = 1
        for side in info.shape[1:]:
            row *= side
        rows = info.shape[0] if row % values == 0 else 1
        return Weight(info.format, info.shape, {"data": data.reshape(rows, -1)})
