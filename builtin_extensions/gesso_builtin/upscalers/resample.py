"""Pillow's resampling."""

from __future__ import annotations

from PIL.Image import Image, Resampling

from gesso import JobContext


def lanczos(image: Image, size: tuple[int, int], ctx: JobContext) -> Image:
    """Smooth, with sharp edges."""
    return image.resize(size, Resampling.LANCZOS)


def nearest(image: Image, size: tuple[int, int], ctx: JobContext) -> Image:
    """Every pixel a square: for pixel art."""
    return image.resize(size, Resampling.NEAREST)
