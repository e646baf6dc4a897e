"""Small pictures of pictures: made once, kept in the cache folder. Torch-free."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path

from gesso.errors import BadFileError
from gesso.files import write_whole

SIDE = 320
"""Pixels of the longer side: sharp at 160 on a screen of double density."""
AT_ONCE = 2
"""Pictures that are decoded at the same time: a page asks for a hundred, and the worker needs the processor too."""


class Thumbnails:
    """Thread-safe, also among processes: two that make the same one write the same file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = threading.Semaphore(AT_ONCE)

    def of(self, path: Path) -> Path:
        """The WebP that stands for a picture file, made now if there is none yet for its path, size and time.

        BadFileError: the file is gone, or no picture gesso can open.
        """
        try:
            stat = path.stat()
        except OSError as error:
            raise BadFileError(f"Cannot read {path}: {error.strerror or error}.") from error
        key = hashlib.sha256(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{SIDE}".encode()).hexdigest()
        made = self._folder / key[:2] / f"{key[2:]}.webp"
        if not made.is_file():
            with self._turn:
                self._make(path, made)
        return made

    @staticmethod
    def _make(path: Path, made: Path) -> None:
        from PIL import Image

        from gesso.pictures import open_picture

        if made.is_file():  # another was faster
            return
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadFileError(f"Cannot read {path}: {error.strerror or error}.") from error
        image = open_picture(data, name=path.name)
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=80, method=2)
        write_whole(made, buffer.getvalue())
