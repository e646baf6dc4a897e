"""What each format lets a person choose."""

from __future__ import annotations

from gesso import Params, param


class PngOptions(Params):
    """PNG is lossless; more compression takes longer and saves little."""

    compression: int = param(6, ge=0, le=9, step=1, label="Compression")


class JpegOptions(Params):
    """JPEG is small, never lossless, and holds about 32,000 characters of infotext."""

    quality: int = param(80, ge=1, le=100, step=1, label="Quality")
    full_colour: bool = param(False, label="Full colour resolution", description="4:4:4 rather than 4:2:0.")


class WebpOptions(Params):
    """WebP: at most 16,383 pixels a side."""

    quality: int = param(80, ge=1, le=100, step=1, label="Quality")
    lossless: bool = param(False, label="Lossless")


class AvifOptions(Params):
    """AVIF: the smallest files, the slowest to write."""

    quality: int = param(80, ge=1, le=100, step=1, label="Quality")
    speed: int = param(6, ge=0, le=10, step=1, label="Speed", description="10 is fastest and largest.")
