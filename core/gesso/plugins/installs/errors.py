"""What goes wrong with an install, as one sentence for people."""

from __future__ import annotations

from gesso.errors import GessoError


class InstallError(GessoError):
    """A change that is refused, fails or was undone. The environment is as it was."""


class RefusedError(GessoError):
    """A session that may not change what is installed."""

    exit_code = 4
