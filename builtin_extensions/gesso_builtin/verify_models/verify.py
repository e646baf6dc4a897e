"""Reads model files through, one after the other, and tells what is wrong with each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gesso import GessoError, TaskContext

BLOCK = 8 << 20
STATED = "modelspec.hash_sha256"
"""Metadata that states the hash of everything behind the header."""


def run(ctx: TaskContext, params: Any) -> dict[str, Any]:
    """One row a file: name, role, size, hashes, problem ("" for none)."""
    files = [(role, Path(path)) for role, _, path in (text.partition(":") for text in params.models)]
    sizes = [_size(path) for _, path in files]
    course = _Course(ctx, sum(sizes) * (params.hashes + params.values))
    rows = [_row(course, role, path, params) for role, path in files]
    bad = [row for row in rows if row["problem"]]
    said = f"{len(rows)} files, {sum(sizes) / 1e9:.1f} GB"
    message = f"{said}: {len(bad)} with problems." if bad else f"{said}: all is well."
    return {"ok": not bad, "models": rows, "message": message if rows else "There are no models."}


class _Course:
    """Counts bytes over all files, and tells no oftener than every 8 MB."""

    def __init__(self, ctx: TaskContext, total: int) -> None:
        self.ctx, self.total, self.done, self.told = ctx, max(total, 1), 0, 0
        ctx.progress("verify", 0, self.total)

    def add(self, count: int) -> None:
        self.done += count
        if self.done - self.told >= BLOCK or self.done == self.total:
            self.told = self.done
            self.ctx.progress("verify", min(self.done, self.total), self.total)
        else:
            self.ctx.check()


def _row(course: _Course, role: str, path: Path, params: Any) -> dict[str, Any]:
    row = {"name": path.stem, "role": role, "file": str(path), "MB": round(_size(path) / 1e6, 1), "AutoV2": "",
           "sha256": "", "problem": ""}  # fmt: skip
    try:
        entry = course.ctx.library.find(str(path), role)
        row["name"] = entry.name
        problems = list(_values(course, path)) if params.values else []
        if params.hashes:
            value, more = _hashed(course, entry)
            row |= {"sha256": value, "AutoV2": value[:10]}
            problems += more
        row["problem"] = " ".join(problems)
    except GessoError as error:
        row["problem"] = str(error)
    except OSError as error:
        row["problem"] = f"It cannot be read: {error.strerror or error}."
    return row


def _values(course: _Course, path: Path) -> Iterator[str]:
    """Tensors with NaN or infinity, which make black pictures; reading them also shows a file that ends too early."""
    reader = course.ctx.open_weights(path)
    bad = []
    for name, info in reader.header.tensors.items():
        for tensor in reader.read(name).tensors.values():
            if tensor.is_floating_point() and not _finite(tensor):
                bad.append(name)
                break
        reader.release([name])
        course.add(info.end - info.start)
    if bad:
        yield f"{len(bad)} tensors hold NaN or infinity, such as {bad[0]}."


def _finite(tensor: torch.Tensor) -> bool:
    if tensor.element_size() == 1:  # fp8: torch compares it in no other way
        tensor = tensor.to(torch.float16)
    return bool(torch.isfinite(tensor).all())


def _hashed(course: _Course, entry: Any) -> tuple[str, list[str]]:
    """(SHA-256 of the file, problems): it is compared with the one remembered and with the one the file states."""
    problems, last = [], 0

    def count(done: int, total: int) -> None:
        nonlocal last
        course.add(done - last)
        last = done

    value = course.ctx.library.hash(entry, count, anew=True)
    if entry.hash and entry.hash != value:
        problems.append(
            f"Its content has changed since it was hashed first ({entry.hash[:10]}), though its date has not: "
            "the disk may be failing; download it again."
        )
    metadata = course.ctx.library.header(entry.path).metadata
    stated = metadata.get(STATED, "").lower().removeprefix("0x")
    if stated and entry.path.is_file() and stated != _behind_header(entry.path):
        problems.append(f"Its weights are not those its metadata states ({stated[:10]}): they were changed or damaged.")
    return value, problems


def _behind_header(path: Path) -> str:
    """SHA-256 of all tensors' bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _size(path: Path) -> int:
    """Bytes of a file, or of a model folder's weight files."""
    try:
        files = path.rglob("*.safetensors") if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)
    except OSError:
        return 0
