"""The one error of this package."""

from __future__ import annotations

from gesso.errors import BadFileError


class MetadataError(BadFileError, ValueError):
    """A picture, a metadata block or a parameter that cannot be read or written as asked; says what to do."""
