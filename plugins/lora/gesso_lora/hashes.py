"""The hash by which people know a LoRA: AutoV3, the SHA-256 of a safetensors file without its header."""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path

CHUNK = 1 << 22
SHORT = 12


def short_hash(path: Path, stated: str = "") -> str:
    """The first twelve digits. `stated` is what a trainer wrote into the file (`sshs_model_hash`): it is believed."""
    if re.fullmatch(r"[0-9a-f]{64}", stated):
        return stated[:SHORT]
    found = path.stat()
    return _hash(path, found.st_size, found.st_mtime_ns)[:SHORT]


@functools.lru_cache(maxsize=256)
def _hash(path: Path, size: int, modified: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if path.suffix == ".safetensors":
            file.seek(8 + int.from_bytes(file.read(8), "little"))
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
