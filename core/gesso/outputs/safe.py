"""Names that every file system takes: Windows' rules, which are the strictest, hold everywhere.

Rules: learn.microsoft.com/windows/win32/fileio/naming-a-file. A component is at most 255 UTF-16 units there and 255
bytes on Linux; both hold for at most MAX_NAME bytes of UTF-8.
"""

from __future__ import annotations

import re
import unicodedata

MAX_PART = 128
"""Characters that one token may bring, as in A1111."""
MAX_NAME = 200
"""Bytes of UTF-8 in a component, so that a number in front and a suffix behind still fit."""
_FORBIDDEN = re.compile(r'[#<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
# Characters that change the direction of what follows: a name would be shown other than it is.
_DIRECTION = re.compile(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


def safe_part(text: str, *, spaces: bool = True, limit: int = MAX_PART) -> str:
    """A piece of a file name from any text: what no file system takes becomes `_`, and so do spaces if not wanted.

    At most `limit` characters, none of them a space in front or a space or dot at the end. May be empty.
    """
    text = unicodedata.normalize("NFC", _FORBIDDEN.sub("_", _DIRECTION.sub("", text)))
    if not spaces:
        text = text.replace(" ", "_")
    return text.lstrip(" ")[:limit].rstrip(" .")


def safe_name(text: str, limit: int = MAX_NAME) -> str:
    """A whole file or folder name (no suffix) from any text; never empty, never a name with a meaning (`..`, `NUL`)."""
    text = safe_part(text, limit=MAX_NAME)
    text = text.encode()[:limit].decode(errors="ignore").rstrip(" .")
    if _RESERVED.match(text):
        text = f"_{text}"
    return text or "_"
