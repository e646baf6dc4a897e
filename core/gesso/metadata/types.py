"""The contract of a reader of other programs' metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class ReadMetadataFn(Protocol):
    """The texts of a picture by keyword (`parameters` among them) and its size (width, height) → an infotext.

    None: another program's. What it reads was written by strangers: any exception also means None.
    """

    def __call__(self, items: Mapping[str, str], size: tuple[int, int]) -> str | None: ...
