"""Pieces of tabs, for anybody's tab: make them where they shall stand, then `wire` them."""

from __future__ import annotations

from .gallery import Picture, gallery, gallery_html
from .job_view import JobView
from .mask import MaskEditor
from .notice import error_text, message, notice
from .picture import picture_input
from .prompt import token_counter
from .seed import SeedButtons
from .size import SizeButtons

__all__ = [
    "JobView",
    "MaskEditor",
    "Picture",
    "SeedButtons",
    "SizeButtons",
    "error_text",
    "gallery",
    "gallery_html",
    "message",
    "notice",
    "picture_input",
    "token_counter",
]
