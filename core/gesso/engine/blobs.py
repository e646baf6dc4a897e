"""Files by the SHA-256 of their content. A job refers to files this way and to no path."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from gesso.errors import BadFileError
from gesso.files import write_whole
from gesso.types import FileRef


class Blobs(Protocol):
    """Where a job's files come from and go to."""

    def put(self, data: bytes, mime: str) -> FileRef: ...
    def upload(self, data: bytes, mime: str) -> FileRef:
        """As `put`, for a file that a request will refer to: it is kept until then."""

    def get(self, ref: FileRef) -> bytes: ...


class MemoryBlobs:
    """Blobs of one run, kept in memory."""

    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}

    def put(self, data: bytes, mime: str) -> FileRef:
        ref = FileRef(sha256=hashlib.sha256(data).hexdigest(), type=mime)
        self._data[ref.sha256] = data
        return ref

    upload = put

    def get(self, ref: FileRef) -> bytes:
        try:
            return self._data[ref.sha256]
        except KeyError:
            raise BadFileError(f"No file with the hash {ref.sha256[:12]} is here.", hint="Upload it again.") from None


class FolderBlobs:
    """Blobs in a folder, two levels deep; written whole, so a name always stands for its whole content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, ref: FileRef) -> Path:
        return self.folder / ref.sha256[:2] / ref.sha256

    def put(self, data: bytes, mime: str) -> FileRef:
        ref = FileRef(sha256=hashlib.sha256(data).hexdigest(), type=mime)
        path = self.path(ref)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
        return ref

    def upload(self, data: bytes, mime: str) -> FileRef:
        return self.put(data, mime)

    def get(self, ref: FileRef) -> bytes:
        try:
            return self.path(ref).read_bytes()
        except FileNotFoundError:
            raise BadFileError(f"No file with the hash {ref.sha256[:12]} is here.", hint="Upload it again.") from None
