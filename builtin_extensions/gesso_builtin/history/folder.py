"""A picture's file shown in the desktop's file manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from gesso import InvalidInputError, StoredPicture


def show_in_folder(picture: StoredPicture) -> str:
    """Open the folder that holds a picture's file; the folder. InvalidInputError: no file, or no desktop here."""
    path = Path(picture.path)
    if not picture.path or not path.is_file():
        raise InvalidInputError("The file of this picture is not in its folder any more.")
    command = opener(path)
    if command is None:
        raise InvalidInputError(f"There is no desktop here to show it on. The file is {path}.")
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return str(path.parent)


def opener(path: Path) -> list[str] | None:
    """The command that shows a file in its folder; None where there is no desktop."""
    if sys.platform == "win32":
        return ["explorer", f"/select,{path}"]
    if sys.platform == "darwin":
        return ["open", "-R", str(path)]
    seen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    program = shutil.which("xdg-open")
    return [program, str(path.parent)] if seen and program else None
