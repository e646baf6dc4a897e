"""The section "plugins" of the settings file."""

from __future__ import annotations

from gesso.params import Params, param


class InstallSettings(Params):
    """Where plugins come from."""

    index: str = param(
        "", label="Plugin index", description="A file or an address; empty: pip's package index.", changes_picture=False
    )
