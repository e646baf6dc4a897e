"""Weight readers: tensors of a file, one at a time, mapped and not copied."""

from __future__ import annotations

import mmap
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import torch

from gesso.errors import BadFileError
from gesso.models.folders import read_folder, weight_files
from gesso.models.headers import read_open_header
from gesso.types import Header, TensorInfo

Tensor = torch.Tensor
DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64,
    "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64, "F16": torch.float16, "BF16": torch.bfloat16,
    "F32": torch.float32, "F64": torch.float64, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.float8_e8m0fnu, "C64": torch.complex64,
}  # fmt: skip


@dataclass(slots=True)
class Weight:
    """One weight as the file holds it: its format ("F16", "Q4_0", "nf4") and the tensors that make it up.

    A plain weight has the single tensor "data"; quantised ones add scales and the like under names of their own.
    `shape` is the weight's own, whatever the shapes of its tensors. Tensors whose first side is that of `shape` go by
    rows; the others (a scale for all, a code book of shape (1, 16)) stand for the whole weight.
    """

    format: str
    shape: tuple[int, ...]
    tensors: dict[str, Tensor]

    @property
    def data(self) -> Tensor:
        return self.tensors["data"]

    @property
    def is_plain(self) -> bool:
        """Whether its values are simply those of "data"."""
        return len(self.tensors) == 1 and self.format in DTYPES

    @property
    def by_rows(self) -> bool:
        """Whether rows can be cut out of it without decoding."""
        return bool(self.shape) and self.data.ndim > 0 and self.data.shape[0] == self.shape[0]

    def cut(self, rows: slice | Tensor) -> Weight:
        """Some of its rows: a slice, or (n,) int64 indices. It must go `by_rows`."""
        count = self.shape[0]
        tensors = {k: t[rows] if t.ndim and t.shape[0] == count else t for k, t in self.tensors.items()}
        return Weight(self.format, (tensors["data"].shape[0], *self.shape[1:]), tensors)


class WeightReader(Protocol):
    """Reads weights by name.

    `read` may share memory with the file's pages, so writing to its tensors shows in later reads. `copy` never does:
    it is the file's own bytes at any time. `restore` undoes what was written to tensors from `read`. `release` tells
    that mapped pages may go; `close` ends the use of the file.
    """

    header: Header

    def read(self, name: str) -> Weight: ...
    def copy(self, name: str) -> Weight: ...
    def restore(self, name: str) -> None: ...
    def release(self, names: Iterable[str]) -> None: ...
    def close(self) -> None: ...


class MappedReader:
    """Maps a weight file privately: a tensor is a view of the file's pages, copied only where it is written to.

    For one container: `read_header` reads it from the open file, `weight` makes a weight of the bytes of one tensor.
    """

    def __init__(self, path: Path, header: Header | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            # Header and map come from one open file, so that a file replaced in between cannot mix two.
            self._file = path.open("rb")
            self._close = weakref.finalize(self, self._file.close)
            self.header = self.read_header(self._file)
            self._map: mmap.mmap | None = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError) as error:
            raise BadFileError(f"Cannot map {path}: {error}.") from error
        if header is not None and header.tensors != self.header.tensors:
            raise BadFileError(f"{path} changed while it was being opened.", hint="Try again.")

    def read_header(self, file: BinaryIO) -> Header:
        """The header, from the file at its start. BadFileError: it is no such file."""
        raise NotImplementedError

    def weight(self, name: str, info: TensorInfo, buffer: memoryview | bytearray) -> Weight:
        """A weight whose tensors share these bytes."""
        dtype = _dtype(self.path, name, info)
        if info.end == info.start:
            return Weight(info.format, info.shape, {"data": torch.empty(info.shape, dtype=dtype)})
        # Unaligned starts are legal in safetensors, and torch wants alignment only for some dtypes: copy those.
        if info.start % dtype.itemsize and isinstance(buffer, memoryview):
            buffer = bytearray(buffer)
        return Weight(info.format, info.shape, {"data": torch.frombuffer(buffer, dtype=dtype).reshape(info.shape)})

    def read(self, name: str) -> Weight:
        """The named weight; its tensors share the file's pages."""
        info, mapped = self._info(name)
        return self.weight(name, info, memoryview(mapped)[info.start : info.end])

    def copy(self, name: str) -> Weight:
        """The named weight in memory of its own, read from the file and not from mapped pages."""
        info, _ = self._info(name)
        return self.weight(name, info, bytearray(self._bytes(info.start, info.end)))

    def restore(self, name: str) -> None:
        """Let the pages of this weight show the file's bytes again. Whole pages are dropped, the ends written back."""
        info, mapped = self._info(name)
        first, last = _whole_pages(info)
        if hasattr(mmap, "MADV_DONTNEED") and first < last:
            mapped.madvise(mmap.MADV_DONTNEED, first, last - first)
            edges = ((info.start, first), (last, info.end))
        else:
            edges = ((info.start, info.end), (info.end, info.end))
        for start, end in edges:
            mapped[start:end] = self._bytes(start, end)

    def release(self, names: Iterable[str]) -> None:
        """Give the pages of these weights back to the system; the next read brings them in again."""
        if self._map is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        for name in names:
            first, last = _whole_pages(self.header.tensors[name])
            if first < last:
                self._map.madvise(mmap.MADV_DONTNEED, first, last - first)

    def close(self) -> None:
        """Let go of the file. Tensors still in use keep their pages alive."""
        self._map = None
        self._close()

    def _info(self, name: str) -> tuple[TensorInfo, mmap.mmap]:
        info = self.header.tensors.get(name)
        if info is None or self._map is None:
            raise BadFileError(f"{self.path} holds no tensor {name!r}.")
        return info, self._map

    def _bytes(self, start: int, end: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            data = self._file.read(end - start)
        if len(data) != end - start:
            raise BadFileError(f"{self.path} became shorter while it was in use.")
        return data


class SafetensorsReader(MappedReader):
    """A safetensors file."""

    def read_header(self, file: BinaryIO) -> Header:
        return read_open_header(self.path, file)


class FolderReader:
    """A model folder as one reader: tensors are named `<component>.<name in the file>`."""

    def __init__(self, path: Path, header: Header | None = None) -> None:
        self.path = path
        self.header = read_folder(path) if header is None else header
        self._homes: dict[str, tuple[SafetensorsReader, str]] = {}
        self._readers: list[SafetensorsReader] = []
        for component, file in weight_files(path):
            reader = SafetensorsReader(file)
            self._readers.append(reader)
            self._homes.update({f"{component}.{name}": (reader, name) for name in reader.header.tensors})
        infos = {full: reader.header.tensors[name] for full, (reader, name) in self._homes.items()}
        if infos != self.header.tensors:
            raise BadFileError(f"{path} changed while it was being opened.", hint="Try again.")

    def read(self, name: str) -> Weight:
        reader, inner = self._home(name)
        return reader.read(inner)

    def copy(self, name: str) -> Weight:
        reader, inner = self._home(name)
        return reader.copy(inner)

    def restore(self, name: str) -> None:
        reader, inner = self._home(name)
        reader.restore(inner)

    def release(self, names: Iterable[str]) -> None:
        for name in names:
            reader, inner = self._home(name)
            reader.release([inner])

    def close(self) -> None:
        for reader in self._readers:
            reader.close()

    def _home(self, name: str) -> tuple[SafetensorsReader, str]:
        if name not in self._homes:
            raise BadFileError(f"{self.path} holds no tensor {name!r}.")
        return self._homes[name]


def open_reader(path: Path, header: Header | None = None) -> WeightReader:
    """The reader gesso itself has for a path: a model folder or a safetensors file. `header` is what it held before."""
    return FolderReader(path, header) if path.is_dir() else SafetensorsReader(path, header)


def open_weights(path: Path, header: Header, hooks: Any) -> WeightReader:
    """The reader a plugin has for this file, else gesso's own. `hooks` is the plugin host."""
    chosen: WeightReader | None = hooks.choose("gesso_choose_weight_reader", path=path, header=header)
    return chosen or open_reader(path, header)


def _dtype(path: Path, name: str, info: TensorInfo) -> torch.dtype:
    dtype = DTYPES.get(info.format)
    if dtype is None:
        raise BadFileError(f"{path}: {name!r} is stored as {info.format}, which needs an operator plugin.")
    return dtype


def _whole_pages(info: TensorInfo) -> tuple[int, int]:
    """(start, end) of the pages that hold nothing but this tensor."""
    page = mmap.PAGESIZE
    first, last = -(-info.start // page) * page, info.end // page * page
    return first, max(first, last)
